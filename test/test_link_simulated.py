"""Both ends under a fake clock, as evaluation uses them: times, feedback, and the same again."""
from __future__ import annotations

from dataclasses import replace

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.demo.statistics import LINK_OVERHEAD
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.robot_feedback import RobotFeedback
from gsc_ros.link.session.control import Control
from gsc_ros.link.session.events import Acked, RefreshAsked, Requested
from gsc_ros.link.session.robot import StreamFacts
from gsc_ros.link.simulation import LinkSimulation
from gsc_ros.link.wire.datagrams import Request, RequestKind
from link_simulation import KEY, MS, SECOND, settings
import pytest

STREAMS = {0: StreamFacts('camera/image_raw/gsc', 'eye', b'')}
HALF_A_SECOND = 500 * MS


def simulation(line: LineSettings, **changes: object) -> LinkSimulation:
    """Make both ends with reports four times a second, and the same line each way."""
    both = settings(report_period_ns=SECOND // 4, **changes)
    return LinkSimulation(both, both, line, line, STREAMS, seed=1, now_ns=10 * SECOND)


def run(sim: LinkSimulation, pictures: int, size: int = 200) -> list[tuple[int, int]]:
    """Offer a picture each half second; when each was offered and arrived."""
    arrived = {}
    for number in range(pictures):
        sim.offer(0, number, sim.now_ns, bytes(size), sim.now_ns)
        for one in sim.advance(sim.now_ns + HALF_A_SECOND).pictures:
            arrived[one.picture.sequence] = one.arrived_ns
    return [(10 * SECOND + number * HALF_A_SECOND, at_ns) for number, at_ns in arrived.items()]


@pytest.mark.parametrize(('key', 'header'), [(None, 13), (KEY, 30)])
def test_a_picture_takes_its_bytes_and_the_delay(key: bytes | None, header: int) -> None:
    """Headers of IP, UDP and link counted (docs/LINK.md, sections 2 to 4)."""
    sim = simulation(LineSettings(16.0, delay_s=0.1), key=key)
    got = run(sim, 20)[5:]
    assert len(got) == 15
    wire_ns = (200 + header + 28) * 8 * SECOND // 16_000
    waits = [at_ns - offered_ns - wire_ns - 100 * MS for offered_ns, at_ns in got]
    # now and then the facts or an answer go ahead
    assert min(waits) == pytest.approx(0, abs=MS)
    assert sorted(waits)[len(waits) // 2] < 5 * MS
    assert max(waits) < 150 * MS


def test_the_same_seed_gives_the_same_run() -> None:
    """To the nanosecond, with losses; and another seed another."""
    line = LineSettings(16.0, delay_s=0.1, loss=0.2, burst_s=0.4)
    both = settings()
    runs = [run(LinkSimulation(both, both, line, line, STREAMS, seed, 10 * SECOND), 60)
            for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 30 < len(runs[0]) < 60


def test_senders_hear_of_base_station_acknowledgements_and_rate() -> None:
    """First a refresh, then each picture once, after a round trip; the allowed rate with it."""
    sim = simulation(LineSettings(16.0, delay_s=0.1))
    told = []
    for number in range(20):
        sim.offer(0, number, sim.now_ns, bytes(200), sim.now_ns)
        told += sim.advance(sim.now_ns + HALF_A_SECOND).feedback
    assert [one.feedback.refresh for one in told].count(True) == 1
    acked = [(one.told_ns, number) for one in told for number in one.feedback.acknowledged]
    assert [number for _, number in acked] == list(range(len(acked)))
    assert len(acked) >= 19
    for told_ns, number in acked:
        assert 300 * MS < told_ns - 10 * SECOND - number * HALF_A_SECOND < 900 * MS
    assert told[-1].feedback.limits.bytes_per_second == sim.robot.allowed_rate == 1900
    assert told[-1].feedback.limits.overhead_bytes == LINK_OVERHEAD
    assert sim.tell(0).acknowledged == ()


def test_nothing_arrives_over_a_dead_line() -> None:
    """No picture, no feedback; and everything again when it is back."""
    sim = simulation(LineSettings(16.0, loss=1.0))
    assert run(sim, 10) == []
    assert sim.advance(sim.now_ns).feedback == []
    for line in sim.lines:
        line.settings = replace(line.settings, loss=0.0)
    sim.offer(0, 77, sim.now_ns, bytes(100), sim.now_ns)
    happened = sim.advance(sim.now_ns + SECOND)
    assert [one.picture.sequence for one in happened.pictures] == [77]
    assert happened.feedback


def test_requests_become_limits_and_bad_ones_are_named() -> None:
    """Of one stream or of all; each refused request with its stream."""
    feedback = RobotFeedback(settings(), (0, 3))
    assert feedback.note(Requested(Request(None, RequestKind.PAUSE, ()))) == []
    assert feedback.note(Requested(Request(3, RequestKind.QUALITY, (0.5,)))) == []
    assert feedback.take(0, 9).limits.control == Control(paused=True)
    assert feedback.take(3, 9).limits.control == Control(paused=True, quality=0.5)
    ((number, error),) = feedback.note(Requested(Request(3, RequestKind.QUALITY, (7.0,))))
    assert number == 3
    assert isinstance(error, InvalidInputError)
    assert feedback.streams[3].counters['refused_requests'] == 1


def test_a_refresh_takes_acknowledgements_back_and_stamps_are_remembered() -> None:
    """What was acknowledged by the base station before is worth nothing to the next."""
    feedback = RobotFeedback(settings(), (0,))
    for sequence in range(100):
        feedback.streams[0].offered(sequence, 1000 + sequence)
    assert feedback.note(Acked(0, 5)) == []     # offered too long ago
    assert feedback.newest_stamp_ns is None
    feedback.note(Acked(0, 90))
    feedback.note(Acked(0, 80))
    assert feedback.newest_stamp_ns == 1090
    feedback.note(RefreshAsked(0))
    feedback.note(Acked(0, 91))
    told = feedback.take(0, 1500)
    assert (told.acknowledged, told.refresh) == ((91,), True)
    assert feedback.take(0, 1500).acknowledged == ()
