"""One thread between an endpoint of the link protocol and its transport."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import threading
from typing import Any, Generic, Protocol, TypeVar

from gsc_ros.codec.errors import GscError
from gsc_ros.link.settings import LinkState
from gsc_ros.link.transports import Transport, TransportCounts
from gsc_ros.units import SECOND_NS

RETRY_S = 1.0
GENUINE = 'datagrams_received'  # counter of endpoints for what the other end has sent
LONGEST_WAIT_S = 1.0


class Endpoint(Protocol):
    """What robot's and base station's end have in common; times in ns, any monotonic clock."""

    counters: Counter[str]

    def receive(self, datagram: bytes, now_ns: int) -> Sequence[Any]:
        """Take a datagram; the events that follow from it. What is not genuine is counted."""

    def answers(self, now_ns: int) -> Sequence[bytes]:
        """Return what goes to the sender of the datagram received last, and nobody else."""

    def take_events(self) -> Sequence[Any]:
        """Return events that no datagram brought."""

    def poll(self, now_ns: int) -> Sequence[bytes]:
        """Return the datagrams to send now."""

    def next_ns(self) -> int | None:
        """Return when to poll again at the latest, None for "when something happens"."""

    def status(self, now_ns: int) -> LinkState:
        """Return what this end knows about the link."""


End = TypeVar('End', bound=Endpoint)


class LinkIo(Generic[End]):
    """
    Owns an endpoint and moves its datagrams; sleeps until the next is due or one comes in.

    ``on_events`` and ``on_error`` are called in the thread; whatever goes wrong, it goes on.
    """

    def __init__(self, endpoint: End, transport: Transport | None,
                 open_link: Callable[[], Transport], clock: Callable[[], int],
                 on_events: Callable[[Sequence[Any]], None],
                 on_error: Callable[[Exception], None]) -> None:
        """Without a ``transport`` one is opened by the thread, tried again every RETRY_S."""
        self._endpoint, self._transport, self._open = endpoint, transport, open_link
        self._clock, self._on_events, self._on_error = clock, on_events, on_error
        self.counts = transport.counts if transport else TransportCounts()
        self.failed_to_open = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='link', daemon=True)

    def start(self) -> None:
        """Start the thread; once only."""
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """End the thread and close the transport."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._transport:
            self._transport.close()
            self._transport = None

    @contextmanager
    def use(self, *, wake: bool = True) -> Iterator[End]:
        """Have the endpoint for oneself; with ``wake`` what it then has to send is sent."""
        with self._lock:
            yield self._endpoint
        if wake:
            self._wake()

    def _wake(self) -> None:
        if self._transport:
            self._transport.wake()

    def _run(self) -> None:
        """Move datagrams until stopped."""
        while not self._stopping.is_set():
            try:
                self._turn(self._transport or self._connect())
            except Exception as error:
                if isinstance(error, GscError) and not self._transport:
                    self.failed_to_open += 1
                self._on_error(error)
                self._stopping.wait(RETRY_S)  # an error that comes every time must not spin

    def _connect(self) -> Transport:
        self._transport = self._open()
        self.counts = self._transport.counts
        return self._transport

    def _turn(self, transport: Transport) -> None:
        # 1. what is due
        with self._lock:
            due = self._endpoint.poll(self._clock())
            next_ns = self._endpoint.next_ns()
            events = self._endpoint.take_events()
        for datagram in due:
            transport.send(datagram)
        if events:
            self._on_events(events)
        # 2. whatever comes first: a datagram, the next one due, or somebody who calls wake
        wait_s = LONGEST_WAIT_S if next_ns is None else (next_ns - self._clock()) / SECOND_NS
        arrived = transport.receive(min(max(wait_s, 0.0), LONGEST_WAIT_S))
        if arrived is None:
            return
        # 3. what it says
        with self._lock:
            events = self._take(arrived, transport, self._clock())
        if events:
            self._on_events(events)

    def _take(self, arrived: bytes, transport: Transport, now_ns: int) -> Sequence[Any]:
        before = self._endpoint.counters[GENUINE]
        events = self._endpoint.receive(arrived, now_ns)
        # Who only says that a robot is there, or was, is answered where it speaks from; the
        # address that everything else goes to moves for what belongs to the session alone.
        for datagram in self._endpoint.answers(now_ns):
            transport.reply(datagram)
        if self._endpoint.counters[GENUINE] > before:
            transport.confirm()
        return events
