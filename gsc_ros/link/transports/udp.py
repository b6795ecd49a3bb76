"""Datagrams over UDP."""
from __future__ import annotations

import socket
import time
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.transports.common import (
    Backoff,
    Sleeper,
    split_address,
    split_url,
    TransportCounts,
    TransportError,
)

IP_AND_UDP_BYTES = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}


class UdpTransport:
    """
    ``udp://HOST:PORT?bind=HOST:PORT``; the remote, or the bind address, may be left out.

    With a remote, only its datagrams are taken. Without one (``udp://?bind=:7400``, a base station
    that does not know the robot's address) all are, and answers go to the sender of the last one
    that was confirmed. The socket is never connected: a robot whose own address changes
    while it drives goes on sending from the new one.
    """

    def __init__(self, url: str, *, mtu: int) -> None:
        """
        Resolve the addresses and bind.

        :raises InvalidInputError: if the URL is not of that form.
        :raises TransportError: if a name cannot be resolved or the address is taken.
        """
        self.counts = TransportCounts()
        self._mtu = mtu
        self._sleeper = Sleeper()
        self._backoff = Backoff()
        self._sender: Any = None
        self._socket, self._remote = _open(url)
        self._fixed = self._remote is not None
        self.overhead_bytes = IP_AND_UDP_BYTES[self._socket.family]

    @property
    def address(self) -> tuple[str, int]:
        """Own host and port."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def send(self, datagram: bytes) -> None:
        """Send to the remote; without one yet, or if the network refuses, count and drop."""
        if self._remote is None:
            self.counts.failed_to_send('no peer has been heard yet')
            return
        self._send_to(datagram, self._remote)

    def reply(self, datagram: bytes) -> None:
        """Send to the sender of the datagram received last."""
        self._send_to(datagram, self._sender)

    def _send_to(self, datagram: bytes, address: Any) -> None:
        try:
            self._socket.sendto(datagram, address)
            self.counts.sent += 1
        except OSError as error:  # no route, interface down, buffers full: may pass by itself
            self.counts.failed_to_send(error)

    def receive(self, timeout_s: float) -> bytes | None:
        """Wait for a datagram of the peer; see Transport."""
        rest_s = self._backoff.remaining_s(time.monotonic())
        if rest_s > 0:  # a socket that keeps failing must not keep a core busy
            self._sleeper.wait(None, min(timeout_s, rest_s))
            return None
        if not self._sleeper.wait(self._socket.fileno(), timeout_s):
            return None
        try:
            datagram, sender = self._socket.recvfrom(self._mtu + 1)
        except BlockingIOError:
            return None  # the kernel dropped it: its check sum was wrong
        except OSError as error:
            self.counts.failed_to_receive(error)
            self._backoff.failed(time.monotonic())
            return None
        self._backoff.worked()
        return datagram if self._acceptable(datagram, sender) else None

    def _acceptable(self, datagram: bytes, sender: Any) -> bool:
        if self._fixed and sender[:2] != self._remote[:2]:
            self.counts.foreign += 1
        elif len(datagram) > self._mtu:
            self.counts.corrupt += 1
        else:
            self._sender = sender
            self.counts.received += 1
            return True
        return False

    def wake(self) -> None:
        """End ``receive``."""
        self._sleeper.wake()

    def confirm(self) -> None:
        """Answer the last sender from now on, if the URL names no remote."""
        if not self._fixed:
            self._remote = self._sender

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        self._sleeper.close()


def _open(url: str) -> tuple[socket.socket, Any]:
    """Make the bound socket and the remote's address, None if the URL has none."""
    parts, query = split_url(url, ('bind',))
    if parts.path or not (parts.netloc or 'bind' in query):
        raise InvalidInputError('link', url, 'udp://HOST:PORT?bind=HOST:PORT, one of them or both')
    family, remote = socket.AF_UNSPEC, None
    if parts.netloc:
        family, remote = _resolve(url, parts.netloc, family, 0)
        if not remote[1]:
            raise InvalidInputError('link', url, 'a remote port above 0')
    default = '[::]:0' if family == socket.AF_INET6 else '0.0.0.0:0'
    family, local = _resolve(url, query.get('bind', default), family, socket.AI_PASSIVE)
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.bind(local)
    except OSError as error:
        made.close()
        raise TransportError(url, f'{local[0]}:{local[1]}: {error}') from error
    made.setblocking(False)
    return made, remote


def _resolve(url: str, text: str, family: int, flags: int) -> tuple[socket.AddressFamily, Any]:
    host, port = split_address(url, text)
    if not host and not flags:
        raise InvalidInputError('link', url, 'udp://HOST:PORT')
    if not host and family == socket.AF_UNSPEC:
        family = socket.AF_INET
    try:
        found = socket.getaddrinfo(host or None, port, family, socket.SOCK_DGRAM, 0, flags)[0]
    except OSError as error:
        raise TransportError(url, f'{text}: {error}') from error
    return found[0], found[4]
