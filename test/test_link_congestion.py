"""Tests of gsc_ros.link.rate.congestion, in virtual time over a simulated bottleneck."""
from __future__ import annotations

from itertools import pairwise

from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.rate.congestion import RateController, Report
from gsc_ros.units import SECOND_NS
from hypothesis import given
from hypothesis import strategies as st
from link_bottleneck import adaptation_s, MS, Scenario, simulate
import pytest

# 16 kbit/s, 4 kbit/s and back, every 30 s
ALTERNATING = tuple((at_s, 4.0 if at_s % 60 else 16.0) for at_s in range(0, 300, 30))


def report(received: int = 4, lost: int = 0, queue_ms: int = 0, size: int = 250) -> Report:
    """Make a report of a second, 100 ms away."""
    return Report(SECOND_NS, received, lost, received * size, queue_ms * MS,
                  (100 + queue_ms) * MS)


@pytest.mark.parametrize(('delay_ms', 'jitter_ms'), [(50, 0), (50, 100), (100, 0)])
@pytest.mark.parametrize('seed', [1, 2])
def test_a_link_that_drops_to_a_quarter_and_comes_back(seed, delay_ms, jitter_ms):
    """Within 3 s of the drop and of the return; never 2 s of queue; and the link is used."""
    trace = simulate(Scenario(LineSettings(ALTERNATING, delay_ms / 1e3), 150, 2000, seed=seed,
                              jitter_s=jitter_ms / 1e3), 150)
    assert max(trace.queue_s) < 2.0
    assert max(adaptation_s(trace, at_s, at_s + 30) for at_s in (30, 60, 90, 120)) <= 3.0
    for start_s, end_s in pairwise((3, 33, 63, 93, 123)):
        assert trace.utilisation(start_s, end_s - 3) >= 0.8


@pytest.mark.parametrize('seed', [1, 2, 3])
@pytest.mark.parametrize('ceiling', [2000, 8000])
def test_random_loss_is_not_congestion(seed, ceiling):
    """16 kbit/s, 200 ms, 5 % lost both ways: at least 85 % of the link is used."""
    trace = simulate(Scenario(LineSettings(16.0, 0.2, loss=0.05), 150, ceiling, seed=seed), 90)
    assert trace.utilisation(10, 90) >= 0.85
    assert max(trace.queue_s) < 1.5


@pytest.mark.parametrize('burst_s', [0.0, 0.1, 0.25])
@pytest.mark.parametrize('seed', [1, 8])  # bursts of 1.2 s at most: none is a stall by itself
def test_bursts_of_loss_leave_most_of_the_rate(seed, burst_s):
    """64 kbit/s, 50 ms, 20 % lost in bursts both ways: 60 % is used, never a stall of 2 s."""
    line = LineSettings(64.0, 0.05, loss=0.2, burst_s=burst_s)
    trace = simulate(Scenario(line, 150, 8000, seed=seed), 90)
    assert trace.utilisation(10, 90) >= 0.6
    arrivals = [time_s for time_s, size in zip(trace.time_s, trace.arrived, strict=True) if size]
    assert max(later - earlier for earlier, later in pairwise(arrivals)) < 2.0


@pytest.mark.parametrize('ceiling', [300, 2000])
def test_a_long_delay_on_the_thinnest_link(ceiling):
    """2.4 kbit/s, 600 ms, 2 % loss, a report every second: it is used, and does not clog."""
    trace = simulate(Scenario(LineSettings(2.4, 0.6, loss=0.02), 60, ceiling,
                              report_ns=1000 * MS), 200)
    assert trace.utilisation(20, 200) >= (0.8 if ceiling > 300 else 0.6)
    assert max(trace.queue_s) < 3.0
    assert sum(trace.queue_s) / len(trace.queue_s) < 0.8


@pytest.mark.parametrize('seed', [1, 2, 3, 4])
def test_cameras_that_send_little_do_not_raise_the_rate(seed):
    """A minute at a tenth of the link leaves the rate where it was, and the return is safe."""
    trace = simulate(Scenario(
        LineSettings(16.0, 0.1), 150, 16_000,
        wants=lambda now_s: 200.0 if 20 < now_s < 80 else 1e9, seed=seed), 120)
    idle = trace.between(22, 80)
    assert max(trace.rate[idle]) <= 1.05 * max(trace.rate[trace.between(10, 21)])
    assert max(trace.queue_s) < 1.5


def test_single_pictures_are_no_measure_of_the_link():
    """A picture of 1000 bytes every two seconds, 500 bytes/s: the rate stays near the link's."""
    trace = simulate(Scenario(
        LineSettings(16.0, 0.1), 150, 16_000,
        wants=lambda now_s: 1e9 if now_s < 15 else 200_000.0 * (now_s % 2 < 0.004)), 90)
    assert min(trace.rate[trace.between(20, 90)]) >= 0.7 * 2000


def test_a_link_that_drops_instead_of_queueing():
    """No queue ever tells: the loss does, and bounds what is sent in vain."""
    trace = simulate(Scenario(
        LineSettings(16.0, 0.05, queue_bytes=100), 150, 16_000), 90)
    assert 0.8 <= trace.utilisation(10, 90) <= 1.25


def test_without_a_window_it_still_adapts():
    """A sender that does not count its bytes in flight adapts as fast, with more queue."""
    trace = simulate(Scenario(LineSettings(ALTERNATING, 0.05), 150, 2000, windowed=False), 60)
    assert adaptation_s(trace, 30, 60) <= 3.0
    assert max(trace.queue_s) < 4.0


def test_it_starts_low_and_keeps_its_limits():
    """Good reports lead to the ceiling, bad ones to the floor, and never beyond."""
    controller = RateController(100, 3000)
    assert controller.rate == 750
    assert RateController(1000, 3000).rate == 1000
    for second in range(30):
        controller.on_report(report(size=controller.rate // 4), second * SECOND_NS)
    assert controller.rate == 3000
    controller.change(100, 2000)
    assert controller.rate == 2000
    for second in range(30, 40):
        controller.on_report(report(1, 9, 5000), second * SECOND_NS)
    assert controller.rate == 100


def test_silence_leads_to_the_floor():
    """Without reports the rate halves until nothing is left to halve."""
    controller = RateController(100, 3000)
    for second in range(30):
        controller.on_report(report(size=controller.rate // 4), second * SECOND_NS)
    assert controller.rate == 3000
    controller.on_silence(31 * SECOND_NS)
    assert controller.rate == 3000
    for second in range(32, 70):
        controller.on_silence(second * SECOND_NS)
    assert controller.rate == 100


def test_a_jump_of_the_clock_changes_nothing_for_long():
    """Neither reports nor silence take an hour's step back for an hour."""
    controller = RateController(100, 3000)
    controller.on_report(report(queue_ms=3000), 5000 * SECOND_NS)
    controller.on_report(report(), 5001 * SECOND_NS)
    before = controller.rate
    controller.on_silence(SECOND_NS)
    for second in range(2, 20):
        controller.on_report(report(), second * SECOND_NS)
    assert controller.rate > before
    assert 0 <= controller.window(0) <= controller.window(30 * SECOND_NS)


counts = st.integers(0, 60_000)


@given(st.lists(st.tuples(
    st.integers(1, 10**11), counts, counts, st.integers(0, 10**8), st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12), st.integers(-10**13, 10**13)), max_size=30))
def test_any_report_keeps_the_limits(reports):
    """Whatever a report says, rate, window and patience stay within reason."""
    controller = RateController(100, 3000)
    for *values, now_ns in reports:
        controller.on_report(Report(*values), now_ns)
        controller.on_silence(now_ns)
        assert 100 <= controller.rate <= 3000
        assert controller.window(now_ns) >= 0
        assert 2 * SECOND_NS <= controller.patience_ns <= 15 * SECOND_NS


def test_nonsense_is_refused():
    """Limits the wrong way round, and reports of nothing."""
    for limits in ((0, 100), (200, 100)):
        with pytest.raises(InvalidInputError):
            RateController(*limits)
    with pytest.raises(InvalidInputError):
        RateController(1, 2).change(3, 2)
    for values in ((0, 1, 1, 1, 1), (1, -1, 1, 1, 1), (1, 1, 1, 1, -1)):
        with pytest.raises(PacketError):
            Report(*values)
