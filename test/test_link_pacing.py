"""Tests of gsc_ros.link.rate.pacing and gsc_ros.link.rate.inflight."""
from __future__ import annotations

from gsc_ros.budget.ceiling import WindowCeiling
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.rate.inflight import InFlight
from gsc_ros.link.rate.pacing import Pacer
from gsc_ros.units import SECOND_NS
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

MS = 1_000_000


def push(ceiling: WindowCeiling, steps: list[tuple[int, int]], now_ns: int = 0
         ) -> list[tuple[int, int]]:
    """Offer a datagram of so many bytes after each gap [ns]; returns what left, and when."""
    left = []
    for gap_ns, size in steps:
        now_ns += gap_ns
        if not ceiling.wait_ns(size, now_ns):
            ceiling.sent(size, now_ns)
            left.append((now_ns, size))
    return left


@settings(max_examples=60, deadline=None)
@given(st.integers(100, 20_000), st.floats(0.01, 1.0),
       st.lists(st.integers(0, 60 * MS), min_size=1, max_size=400))
def test_no_second_exceeds_the_ceiling(limit, part, gaps):
    """In every closed window of one second, wherever it starts, the ceiling holds."""
    size = max(1, int(limit * part))
    left = push(WindowCeiling(limit), [(gap, size) for gap in gaps])
    assert left
    for start_ns, _ in left:
        assert sum(item for time_ns, item in left
                   if start_ns <= time_ns <= start_ns + SECOND_NS) <= limit


@settings(max_examples=60, deadline=None)
@given(st.integers(100, 5000), st.lists(
    st.tuples(st.integers(0, 400 * MS), st.integers(1, 100)), max_size=80), st.integers(1, 100))
def test_the_wait_is_exact(limit, steps, size):
    """After wait_ns a datagram may leave, a nanosecond earlier not."""
    ceiling = WindowCeiling(limit)
    push(ceiling, steps)
    now_ns = sum(gap for gap, _ in steps)
    wait_ns = ceiling.wait_ns(size, now_ns)
    if wait_ns:
        assert ceiling.wait_ns(size, now_ns + wait_ns - 1) == 1
    assert ceiling.wait_ns(size, now_ns + wait_ns) == 0


def test_the_ceiling_is_used():
    """Small datagrams at all times fill it to 97 % and more."""
    left = push(WindowCeiling(2000), [(5 * MS, 50)] * 4000)
    assert sum(size for _, size in left) / 20 >= 0.97 * 2000


def test_memory_is_bounded():
    """A hundred thousand datagrams in a second leave few entries behind."""
    ceiling = WindowCeiling(10_000_000)
    push(ceiling, [(10_000, 64)] * 100_000)
    assert len(ceiling._slots) <= 67


@pytest.mark.parametrize('jump_ns', [-10 * MS, -900 * MS, -3600 * SECOND_NS, 3600 * SECOND_NS])
def test_a_clock_that_jumps_neither_stalls_nor_bursts(jump_ns):
    """At most two seconds pass before the next datagram, and a jump back opens no window."""
    ceiling, start_ns = WindowCeiling(1000), 10_000 * SECOND_NS
    ceiling.sent(1000, start_ns)
    now_ns = start_ns + jump_ns
    if jump_ns < 0:
        assert ceiling.wait_ns(1000, now_ns) > 0
    left = push(ceiling, [(10 * MS, 1000)] * 201, now_ns)
    assert 1 <= len(left) <= 2


def test_jitter_between_callers_does_not_speed_time_up():
    """Steps back and forth of 20 ms, five seconds long: no more bytes than in five seconds."""
    ceiling = WindowCeiling(1000)
    steps = [(gap, 100) for _ in range(500) for gap in (30 * MS, -20 * MS)]
    assert sum(size for _, size in push(ceiling, steps, SECOND_NS)) <= 6000


def test_another_ceiling_holds_at_once():
    """What was sent before still counts."""
    ceiling = WindowCeiling(1000)
    ceiling.sent(800, 0)
    ceiling.change(500)
    assert ceiling.bytes_per_second == 500
    assert ceiling.wait_ns(100, 500 * MS) > 0
    assert ceiling.wait_ns(500, 1100 * MS) == 0


def test_what_can_never_leave_is_refused():
    """A datagram above the ceiling, and rates of nothing."""
    with pytest.raises(InvalidInputError, match='301'):
        WindowCeiling(300).wait_ns(301, 0)
    for make in (WindowCeiling, Pacer, WindowCeiling(1).change, Pacer(1).change):
        with pytest.raises(InvalidInputError):
            make(0)


@given(st.lists(st.integers(1, 1500), min_size=20, max_size=60), st.integers(100, 8000))
def test_a_pacer_keeps_its_rate(sizes, rate):
    """Sending whenever it allows gives the rate, and never more than one datagram above it."""
    pacer, now_ns = Pacer(rate), 0
    for size in sizes:
        now_ns += pacer.wait_ns(now_ns)
        pacer.sent(size, now_ns)
    assert now_ns / 1e9 == pytest.approx(sum(sizes[:-1]) / rate, rel=0.01, abs=0.06)


def test_a_pacer_gives_no_burst_after_a_pause_or_a_jump():
    """Idle time is not saved up; a clock that jumps back does not stall."""
    pacer = Pacer(1000)
    pacer.sent(500, 0)
    pacer.sent(500, 100 * SECOND_NS)
    assert pacer.wait_ns(100 * SECOND_NS) == pytest.approx(450 * MS, abs=MS)
    assert pacer.wait_ns(0) <= 500 * MS
    assert pacer.wait_ns(500 * MS) == 0
    pacer.sent(500, 500 * MS)
    pacer.change(10_000)
    assert pacer.wait_ns(500 * MS) <= 50 * MS


def test_bytes_in_flight_wrap_expire_and_are_reported():
    """Reports free everything up to a number; old datagrams and a clock's jump do, too."""
    flight = InFlight()
    for number in range(65_530, 65_546):
        flight.sent(number % 65_536, 10, SECOND_NS)
    assert flight.bytes(SECOND_NS, SECOND_NS) == 160
    flight.reported(65_535)
    assert flight.bytes(SECOND_NS, SECOND_NS) == 100
    flight.reported(65_533)  # an old report
    assert flight.bytes(SECOND_NS, SECOND_NS) == 100
    flight.reported(3)
    assert flight.bytes(SECOND_NS, SECOND_NS) == 60
    assert flight.bytes(2 * SECOND_NS, SECOND_NS) == 0
    flight.sent(10, 10, 5 * SECOND_NS)
    assert flight.bytes(0, SECOND_NS) == 0
