"""What the base station measures and reports, against the figures of docs/LINK.md."""
from __future__ import annotations

from gsc_ros.link.rate.arrivals import Arrivals, QueueDelay
from gsc_ros.link.rate.congestion import RateController
from gsc_ros.link.rate.measurements import Report
from gsc_ros.link.rate.sendrate import SendRate
from gsc_ros.link.rate.senttimes import SentTimes
from gsc_ros.link.session.reporter import Reporter
from gsc_ros.link.wire.datagrams import Request, RequestKind
from gsc_ros.link.wire.reports import read_report
from hypothesis import given
from hypothesis import strategies as st
from link_simulation import channel, MS, SECOND, settings, Simulation
import pytest


def measured(*datagrams: tuple[int, int, int]) -> int:
    """Queue delay [ms] after datagrams of (size, left at ms, took ms)."""
    delay = QueueDelay()
    for size, left_ms, took_ms in datagrams:
        delay.add(size, left_ms % 65536, (left_ms + took_ms) * MS)
    return delay.delay_ns // MS


def test_queue_delay_compares_with_datagrams_of_at_least_the_same_size() -> None:
    """A larger one that was faster proves a queue; a smaller one says nothing of a larger."""
    assert measured((100, 0, 50), (1000, 500, 450)) == 0        # only a smaller one was faster
    assert measured((1000, 0, 450), (100, 500, 600)) == 150     # a larger one was: a queue
    assert measured((1000, 0, 450), (500, 500, 700), (100, 900, 900)) == 450
    assert measured((100, 0, 50), (1000, 500, 450), (1000, 900, 700)) == 250
    assert measured((120, 0, 50), (100, 500, 80)) == 30         # within 64 bytes: the same size


def test_queue_delay_forgets_after_ten_to_twenty_seconds() -> None:
    """A route that has become slower is not a queue for ever."""
    slower = [(200, 500 * step, 300) for step in range(1, 80)]
    delays = [measured((200, 0, 100), *slower[:count]) for count in range(1, 79)]
    assert delays[:15] == [200] * 15   # for 8 s
    assert delays[41:] == [0] * 37     # from 21 s on


def room_for(acks: int) -> int:
    """Bytes of a report with so many acks: 18 and 5 each."""
    return 18 + 5 * acks


@pytest.mark.parametrize(('streams', 'acks'), [(5, 2), (7, 3), (3, 1), (4, 4)])
def test_streams_take_turns_where_not_all_acks_fit_a_report(streams: int, acks: int) -> None:
    """No stream waits longer than the others have their turn, and each is told three times."""
    reporter = Reporter(1, room_for(acks))
    told: list[int] = []
    for round_ in range(60):
        if round_ < 40:
            for stream_id in range(streams):
                reporter.stream(stream_id).take(round_, round_, 0)
        body = read_report(reporter.report(round_ * SECOND))
        assert len(body.acks) <= acks
        told += [ack.stream_id for ack in body.acks]
        reporter.reported(round_ * SECOND)
    assert told[:streams] == list(range(streams))
    for first in range(0, 40 * acks - streams, streams):
        assert sorted(told[first:first + streams]) == list(range(streams))
    for stream_id in range(streams):
        assert told[40 * acks:].count(stream_id) <= 3
    assert not any(stream.unreported for stream in reporter.streams.values())


def test_a_picture_is_acknowledged_in_three_reports() -> None:
    reporter = Reporter(1, 400)
    reporter.stream(4).take(9, 1, 0)
    told = []
    for second in range(5):
        told.append([ack.sequences for ack in read_report(reporter.report(second * SECOND)).acks])
        reporter.reported(second * SECOND)
    assert told == [[[9]], [[9]], [[9]], [], []]


def steady(rate: int) -> tuple[RateController, int]:
    """Make a controller that has used ``rate`` for a minute without a queue."""
    controller = RateController(100, rate)
    for second in range(60):
        controller.on_report(passed(controller.rate), second * SECOND)
    assert controller.rate == rate
    return controller, 60 * SECOND


def passed(rate: int, queue_ms: int = 0, lost: int = 0) -> Report:
    """Make a report of a second in which ``rate`` bytes came in ten datagrams."""
    return Report(SECOND, 10, lost, rate, queue_ms * MS, (100 + queue_ms) * MS)


@pytest.mark.parametrize('queue_ms', [500, 800, 1000, 1500, 4000])
def test_the_rate_backs_off_below_what_passes_while_a_queue_lasts(queue_ms: int) -> None:
    """
    2000 bytes/s were sent, 1500 arrive: nine tenths of that, less what empties the queue.

    The queue beyond 0.25 s and a datagram's time is to be gone after a second; a tenth of the
    rate is left at least.
    """
    controller, now_ns = steady(2000)
    controller.on_report(passed(1500, queue_ms), now_ns)
    datagram_s = 0.2 * 150 / 2000 + 0.8 * 200 / 2000  # averaged: one of 150 after those of 200
    share = max(0.1, 1 - (queue_ms / 1000 - 0.25 - datagram_s) / 1.0)
    assert controller.rate == pytest.approx(0.9 * 1500 * share, rel=0.01)


def test_the_rate_comes_back_to_nine_tenths_of_what_passed() -> None:
    """When the queue has gone: not to what made it."""
    controller, now_ns = steady(2000)
    for second in range(6):
        controller.on_report(passed(1000, 900), now_ns + second * SECOND)
    assert controller.rate < 900
    controller.on_report(passed(controller.rate), now_ns + 6 * SECOND)
    assert controller.rate == pytest.approx(0.9 * 1000, rel=0.01)


def test_a_small_queue_is_left_alone() -> None:
    """0.25 s and the time of a datagram."""
    controller, now_ns = steady(2000)
    controller.on_report(passed(2000, 340), now_ns)
    assert controller.rate == 2000
    controller.on_report(passed(2000, 370), now_ns + SECOND)
    assert controller.rate < 1900


def test_loss_beyond_twelve_percent_is_congestion() -> None:
    """Averaged over 64 datagrams; below that it is the link's way."""
    for lost, backs_off in ((1, False), (10, True)):
        controller, now_ns = steady(2000)
        for second in range(8):
            controller.on_report(passed(2000, 100, lost), now_ns + second * SECOND)
        assert (controller.rate < 1800) == backs_off


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3000)), min_size=1, max_size=300),
       st.integers(0, 65535), st.integers(0, 299), st.integers(0, 5000))
def test_the_age_of_a_datagram_is_never_told_too_short(
        steps: list[tuple[int, int]], number: int, which: int, later_ms: int) -> None:
    """At most 0.1 s too long, and nothing for what was sent 20 s ago, or never."""
    times, sent, now_ns = SentTimes(), {}, 0
    for count, gap_ms in steps:
        now_ns += gap_ms * MS
        for _ in range(count):
            number = (number + 1) % 65536
            times.sent(number, now_ns)
            sent[number] = now_ns
    now_ns += later_ms * MS
    one = list(sent)[which % len(sent)]
    age_ns = times.age_ns(one, now_ns)
    if age_ns is None:
        assert now_ns - sent[one] >= 19 * SECOND
    else:
        assert now_ns - sent[one] <= age_ns < now_ns - sent[one] + 100 * MS
    assert times.age_ns((number + 1) % 65536, now_ns) is None


@pytest.mark.parametrize('adapt', [False, True])
def test_memory_of_the_send_rate_is_bounded_where_nobody_answers(adapt: bool) -> None:
    """100,000 datagrams, 100 a second, no base station: it kept 14 MB without adaptation."""
    rate = SendRate(settings(adapt=adapt, bytes_per_second=100_000, floor=100))
    for number in range(100_000):
        now_ns = number * 10 * MS
        rate.tick(now_ns)
        rate.wait_ns(100, now_ns)
        rate.sent(number % 65536, 100, now_ns)
    assert len(rate._in_flight._datagrams) <= 1600
    assert len(rate._sent_ns) <= 1024
    assert len(rate.sent_times._samples) <= 201


@pytest.mark.parametrize('key', [None, bytes(range(32))], ids=['plain', 'sealed'])
def test_an_end_alone_keeps_little(key: bytes | None) -> None:
    """Ten minutes without the other end: what waits is bounded, and nothing spins."""
    sim = Simulation(settings(key=key, bytes_per_second=20_000), settings(key=key),
                     channel(loss=1.0))
    polls = 0
    for second in range(600):
        for stream_id in (0, 7):
            sim.picture(stream_id)
        if second % 2 and len(sim.base._requests) < 32:
            sim.base.request(Request(second % 250, RequestKind.PAUSE), sim.now_ns)
        for end in (sim.robot, sim.base):
            end.poll(sim.now_ns)
            polls += 1
            next_ns = end.next_ns()
            assert next_ns is None or next_ns > sim.now_ns
        sim.now_ns += SECOND
        sim.base.take_events()
    assert len(sim.robot._rate._in_flight._datagrams) == 0
    assert len(sim.base._requests) <= 32


def test_loss_counts_gaps_once() -> None:
    """One that comes late is not lost; what came before the first is not counted."""
    arrivals = Arrivals()
    for number in (5, 6, 9, 8):
        assert arrivals.add(number, 100, None, 0)
    assert not arrivals.add(8, 100, None, 0)
    assert (arrivals.received, arrivals.lost, arrivals.newest) == (4, 1, 9)
