"""What the transports share: errors, counters, waiting that can be cut short, addresses."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
import select
import socket
from typing import Protocol
from urllib.parse import parse_qsl, SplitResult, urlsplit

from gsc_ros.codec.errors import GscError, InvalidInputError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0  # between two attempts to mend what is broken


class TransportError(GscError):
    """A transport cannot be opened; names its URL and why."""

    def __init__(self, url: str, reason: object) -> None:
        self.url = url
        super().__init__(f'cannot open {url}: {reason}')


@dataclass
class TransportCounts:
    """What has happened since the transport was opened."""

    sent: int = 0
    received: int = 0
    send_failed: int = 0      # refused by the system, or no line at the moment
    receive_failed: int = 0
    corrupt: int = 0          # noise: check sum, framing or length is wrong
    foreign: int = 0          # not from the configured peer
    reopened: int = 0
    last_error: str = field(default='', repr=False)

    def failed_to_send(self, error: object) -> None:
        """Count a datagram that was not sent."""
        self.send_failed += 1
        self.last_error = f'send: {error}'

    def failed_to_receive(self, error: object) -> None:
        """Count a failed read."""
        self.receive_failed += 1
        self.last_error = f'receive: {error}'


class Transport(Protocol):
    """
    Carries datagrams to one peer; may lose, repeat and reorder them.

    ``send`` and ``wake`` may be called from any thread, ``receive``, ``reply`` and ``confirm``
    from one.
    """

    overhead_bytes: int
    """What each datagram costs on the wire beside its own bytes."""
    counts: TransportCounts

    def send(self, datagram: bytes) -> None:
        """Send without waiting; what cannot be sent now is counted and dropped, never raised."""

    def reply(self, datagram: bytes) -> None:
        """Send to the sender of the datagram received last, whoever it is."""

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next datagram; None after ``timeout_s``, ``wake`` or a counted failure."""

    def wake(self) -> None:
        """Let the ``receive`` that waits, or else the next one, return at once."""

    def confirm(self) -> None:
        """Say that the datagram received last was genuine: answers go to its sender."""

    def close(self) -> None:
        """Release everything; ``send`` and ``receive`` must not be called again."""


class Sleeper:
    """Waits until a file can be read, unless another thread calls ``wake``."""

    def __init__(self) -> None:
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._outer.setblocking(False)

    def wait(self, file: int | None, timeout_s: float) -> bool:
        """Whether ``file`` (None: none) has something to read, or has failed, within the time."""
        poll = select.poll()
        poll.register(self._inner, select.POLLIN)
        if file is not None:
            poll.register(file, select.POLLIN)
        ready = {number for number, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        if self._inner.fileno() in ready:
            self._inner.recv(4096)
        return file in ready

    def wake(self) -> None:
        """End the wait that is on, or the next one."""
        try:
            self._outer.send(b'\0')
        except BlockingIOError:
            pass  # thousands of calls are waiting to be seen already

    def close(self) -> None:
        """Release the sockets."""
        self._inner.close()
        self._outer.close()


class Backoff:
    """When to try again: at first soon, then less and less often."""

    def __init__(self) -> None:
        self._wait_s, self._due_s = FIRST_WAIT_S, float('-inf')

    def failed(self, now_s: float) -> None:
        """Put off the next attempt."""
        self._due_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def worked(self) -> None:
        """Start over with short waits."""
        self._wait_s = FIRST_WAIT_S

    def remaining_s(self, now_s: float) -> float:
        """Seconds until the next attempt, 0 if it is due."""
        return max(0.0, self._due_s - now_s)


def split_url(url: str, options: Collection[str]) -> tuple[SplitResult, dict[str, str]]:
    """Split a URL into its parts and its query; InvalidInputError names what does not fit."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if len(query) < len(pairs) or not query.keys() <= set(options):
        raise InvalidInputError('link', url, f'each of these once: {", ".join(options)}')
    return parts, query


def split_address(url: str, text: str) -> tuple[str, int]:
    """Split HOST:PORT, where HOST may be empty or an [IPv6 address]; refuse what is not that."""
    try:
        parts = urlsplit(f'//{text}')
        host, port = parts.hostname or '', parts.port
    except ValueError:
        port = None
    if port is None or parts.path or parts.username is not None:
        raise InvalidInputError('link', url, f'HOST:PORT with a port of 0..65535, not {text!r}')
    return host, port
