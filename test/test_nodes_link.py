"""Tests of the emulated link."""
from __future__ import annotations

from dataclasses import replace

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.emulator import Line
from gsc_ros.link.line_settings import LineSettings
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

MS = 1_000_000
IDEAL = LineSettings(kbps=8.0, queue_bytes=3000)


def drain(link: Line, until_ns: int) -> list[tuple[int, object]]:
    """Ask the link whenever it says, up to a time."""
    out = []
    while (next_ns := link.next_ns()) is not None and next_ns <= until_ns:
        out += [(next_ns, item) for item in link.arrived(next_ns)]
    return out


def test_bytes_take_time_and_delay_is_added():
    """472 + 28 bytes at 8 kbit/s take 500 ms; the second waits for the first."""
    link = Line(replace(IDEAL, delay_s=0.2), 0, 0)
    link.offer('a', 472, 0)
    link.offer('b', 472, 10 * MS)
    assert link.arrived(699 * MS) == []
    assert drain(link, 10_000 * MS) == [(700 * MS, 'a'), (1200 * MS, 'b')]
    assert link.next_ns() is None
    assert (link.counts['sent'], link.counts['sent_bytes']) == (2, 1000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 1500)), max_size=60),
       st.floats(1.0, 64.0), st.integers(0, 4000))
def test_never_faster_than_its_speed(offers, kbps, queue):
    """Between any two arrivals the link carried no more than its speed allows."""
    link = Line(replace(IDEAL, kbps=kbps, queue_bytes=queue), 0, 0)
    now_ns, out = 0, []
    for gap_ms, size in offers:
        out += drain(link, now_ns + gap_ms * MS)
        now_ns += gap_ms * MS
        link.offer(size, size, now_ns)
        assert link.queued_bytes <= queue
    out += drain(link, 10**15)
    assert len(out) + link.counts['dropped'] == len(offers)
    for first in range(len(out)):
        wire = 0
        for arrived_ns, size in out[first + 1:]:
            wire += size + 28
            # each packet's time is rounded to a nanosecond
            assert wire * 8e6 / kbps <= arrived_ns - out[first][0] + len(out)


def test_newest_wins_when_the_queue_is_full():
    """While one packet is on the link the oldest of the waiting gives way; facts never do."""
    link = Line(replace(IDEAL, queue_bytes=1000), 0, 0)
    link.offer('on the link', 400, 0)
    link.offer('facts', 500, 0, precious=True)
    for name in ('old', 'older', 'newest'):
        link.offer(name, 400, 1)
    assert link.counts['dropped'] == 2
    assert [item for _, item in drain(link, 10**12)] == ['on the link', 'facts', 'newest']


def test_losses_are_seeded_and_counted():
    """The same seed loses the same packets; facts are never lost."""
    def received(seed: int, loss: float) -> list[object]:
        link = Line(replace(IDEAL, loss=loss, queue_bytes=10**6), seed, 0)
        for index in range(200):
            link.offer(index, 10, 0, precious=index == 7)
        got = [item for _, item in drain(link, 10**15)]
        assert link.counts['lost'] == 200 - len(got)
        return got

    assert received(1, 0.2) == received(1, 0.2) != received(2, 0.2)
    assert 130 <= len(received(1, 0.2)) <= 185
    assert received(1, 1.0) == [7]
    assert len(received(1, 0.0)) == 200


def test_a_shorter_delay_does_not_reorder():
    """Settings change while packets fly."""
    link = Line(replace(IDEAL, kbps=1000.0, delay_s=1.0), 0, 0)
    link.offer('a', 100, 0)
    link.arrived(100 * MS)
    link.settings = replace(link.settings, delay_s=0.0)
    link.offer('b', 100, 100 * MS)
    assert [item for _, item in drain(link, 10**12)] == ['a', 'b']


def test_negative_size_is_refused():
    """A packet has a size."""
    with pytest.raises(InvalidInputError):
        Line(IDEAL, 0, 0).offer('a', -1, 0)
