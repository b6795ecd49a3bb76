"""The thread between endpoint and transport, with stand-ins for both; no ROS needed."""
from __future__ import annotations

from collections import Counter
import queue
import threading
import time
from typing import Any

from gsc_ros.link import io as link_io
from gsc_ros.link.io import LinkIo
from gsc_ros.link.transports import TransportCounts, TransportError
import pytest

PATIENCE_S = 20.0


class Endpoint:
    """Sends what it was given; answers every datagram with an event."""

    def __init__(self) -> None:
        self.due: list[bytes] = []
        self.answer: list[bytes] = []
        self.events: list[str] = []
        self.broken = 0
        self.counters: Counter[str] = Counter()

    def receive(self, datagram: bytes, now_ns: int) -> list[str]:
        """As BaseEndpoint.receive."""
        if datagram == b'breaks it':
            self.broken += 1
            raise RuntimeError('a bug')
        if datagram in (b'forged', b'calls'):
            self.answer = [b'answer'] if datagram == b'calls' else []
            return []
        self.counters['datagrams_received'] += 1
        return [datagram.decode()]

    def answers(self, now_ns: int) -> list[bytes]:
        """As BaseEndpoint.answers."""
        answer, self.answer = self.answer, []
        return answer

    def take_events(self) -> list[str]:
        """As BaseEndpoint.take_events."""
        events, self.events = self.events, []
        return events

    def poll(self, now_ns: int) -> list[bytes]:
        """As BaseEndpoint.poll."""
        due, self.due = self.due, []
        return due

    def next_ns(self) -> int | None:
        """As BaseEndpoint.next_ns."""
        return None

    def status(self, now_ns: int) -> Any:
        """As BaseEndpoint.status, which the thread does not look at."""


class Transport:
    """A queue in both directions; counts how often it was waited at."""

    overhead_bytes = 28

    def __init__(self) -> None:
        self.counts = TransportCounts()
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.outgoing: queue.Queue[bytes] = queue.Queue()
        self.replies: queue.Queue[bytes] = queue.Queue()
        self.waits = self.confirmed = 0
        self.closed = threading.Event()

    def send(self, datagram: bytes) -> None:
        """As Transport.send."""
        self.outgoing.put(datagram)

    def reply(self, datagram: bytes) -> None:
        """As Transport.reply."""
        self.replies.put(datagram)

    def receive(self, timeout_s: float) -> bytes | None:
        """As Transport.receive."""
        self.waits += 1
        try:
            return self.incoming.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """As Transport.wake."""
        self.incoming.put(None)

    def confirm(self) -> None:
        """As Transport.confirm."""
        self.confirmed += 1

    def close(self) -> None:
        """As Transport.close."""
        self.closed.set()


@pytest.fixture
def made(monkeypatch):
    """Give an endpoint, a transport and the thread between them, not yet started."""
    monkeypatch.setattr(link_io, 'RETRY_S', 0.01)
    monkeypatch.setattr(link_io, 'LONGEST_WAIT_S', 30.0)
    endpoint, transport = Endpoint(), Transport()
    events: queue.Queue[Any] = queue.Queue()
    errors: queue.Queue[Exception] = queue.Queue()
    io = LinkIo(endpoint, transport, lambda: transport, time.monotonic_ns, events.put, errors.put)
    yield endpoint, transport, io, events, errors
    io.stop()
    assert transport.closed.is_set()


def test_use_wakes_the_thread_and_it_sleeps_otherwise(made):
    """A datagram offered from another thread leaves at once; nothing spins."""
    endpoint, transport, io, events, _ = made
    io.start()
    for number in range(3):
        with io.use() as end:
            end.due.append(b'%d' % number)
        assert transport.outgoing.get(timeout=PATIENCE_S) == b'%d' % number
    transport.incoming.put(b'hello')
    assert events.get(timeout=PATIENCE_S) == ['hello']
    assert transport.waits <= 10


def test_only_what_is_genuine_moves_the_address(made):
    """A caller is answered where it calls from; everything else stays with the peer."""
    endpoint, transport, io, events, _ = made
    io.start()
    for datagram, confirmed in ((b'forged', 0), (b'calls', 0), (b'genuine', 1), (b'calls', 1),
                                (b'forged', 1), (b'again', 2)):
        transport.incoming.put(datagram)
        if datagram == b'calls':
            assert transport.replies.get(timeout=PATIENCE_S) == b'answer'
        elif datagram != b'forged':
            assert events.get(timeout=PATIENCE_S) == [datagram.decode()]
        assert transport.confirmed <= confirmed
    io.stop()
    assert transport.confirmed == 2
    assert transport.replies.empty() and transport.outgoing.empty()


def test_events_without_a_datagram_are_told(made):
    """Such as a request that has expired while nobody answers."""
    endpoint, _, io, events, _ = made
    io.start()
    with io.use() as end:
        end.events.append('expired')
    assert events.get(timeout=PATIENCE_S) == ['expired']


def test_an_error_in_the_endpoint_ends_nothing(made):
    """It is reported, and the next datagram is taken."""
    endpoint, transport, io, events, errors = made
    io.start()
    transport.incoming.put(b'breaks it')
    assert str(errors.get(timeout=PATIENCE_S)) == 'a bug'
    transport.incoming.put(b'goes on')
    assert events.get(timeout=PATIENCE_S) == ['goes on']
    assert io.failed_to_open == 0


def test_a_link_that_cannot_be_opened_is_tried_again(made):
    """Three failures, then it works; each was reported."""
    endpoint, transport, _, events, errors = made
    failures = iter([TransportError('serial:///dev/x', 'no such port')] * 3)

    def open_link() -> Transport:
        for error in failures:
            raise error
        return transport

    io = LinkIo(endpoint, None, open_link, time.monotonic_ns, events.put, errors.put)
    io.start()
    transport.incoming.put(b'there')
    assert events.get(timeout=PATIENCE_S) == ['there']
    assert io.failed_to_open == errors.qsize() == 3
    assert io.counts is transport.counts
    io.stop()
