"""Both ends together in virtual time: delivery, ceiling, restarts, wraps, requests, bounds."""
from __future__ import annotations

from dataclasses import replace
import statistics

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.session.base import BaseEndpoint, Facts, Restarted
from gsc_ros.link.session.requests import MAX_PENDING, TooManyRequestsError
from gsc_ros.link.session.robot import Acked, RefreshAsked, Requested, RobotEndpoint
from gsc_ros.link.wire import fec
from gsc_ros.link.wire.datagrams import RequestKind
from link_simulation import (
    BASE_CLOCK_NS,
    channel,
    facts,
    KEY,
    most_in_a_second,
    MS,
    SECOND,
    settings,
    Simulation,
    WALL_NS,
)
import pytest

WITH_FEC = 'adaptive' if fec.available() else 'off'
BAD = channel(0.2, jitter_s=0.15, loss=0.1, doubled=0.1)
both = pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'sealed'])


def simulation(key: bytes | None, line: LineSettings | None = None, seed: int = 1,
               **changes: object) -> Simulation:
    """Both ends with the same settings."""
    return Simulation(settings(key=key, **changes), settings(key=key, **changes),
                      line, seed)


@both
@pytest.mark.parametrize('mtu', [64, 100, 1500])
def test_what_is_delivered_is_what_was_offered(key: bytes | None, mtu: int) -> None:
    """Over a channel that loses, delays, mixes and doubles; the simulation compares each byte."""
    sim = simulation(key, BAD, mtu=mtu, bytes_per_second=8000, fec=WITH_FEC)
    sim.run(60, streams=(0, 7), size=330)
    got = [(picture.stream_id, picture.sequence) for _, picture in sim.pictures]
    assert len(got) == len(set(got))  # doubles are not delivered
    whole = fec.available() or mtu == 1500  # else most pictures lose one of their fragments
    assert len(got) > (0.75 if whole else 0.35) * len(sim.offered)
    assert {picture.facts for _, picture in sim.pictures} >= {facts(0), facts(7)}
    assert sim.base_state.counters['malformed'] == 0


@both
@pytest.mark.parametrize('rate', [125, 300, 2000])
@pytest.mark.parametrize('adapt', [False, True])
def test_the_ceiling_holds_in_every_second(key: bytes | None, rate: int, adapt: bool) -> None:
    """With everything that is sent: pictures, facts, parity, answers, signs of life."""
    sim = simulation(key, BAD, bytes_per_second=rate, floor=rate // 2, adapt=adapt, mtu=200,
                     fec=WITH_FEC)
    for second in range(60):
        if second % 7 == 0:
            sim.request(None, RequestKind.REFRESH)
        sim.run(1, streams=(0, 7), size=150)
    assert most_in_a_second(sim.sent['base'], 28) <= rate
    assert most_in_a_second(sim.sent['robot'], 28) <= rate
    assert len(sim.pictures) > 3  # at 125 bytes/s requests and their DONE take the greater part


@both
def test_sequence_and_datagram_numbers_wrap(key: bytes | None) -> None:
    sim = simulation(key, mtu=100)
    sim.robot = RobotEndpoint(settings(key=key, mtu=100), boot=2**32 - 30)
    sim.base = BaseEndpoint(settings(key=key, mtu=100), boot=2**32 - 5,
                            wall_offset_ns=WALL_NS - BASE_CLOCK_NS)
    sim.sequence = 65500
    sim.run(60)
    assert len(sim.pictures) == len(sim.offered)
    assert sum(isinstance(event, Acked) for _, event in sim.robot_events) > 110
    assert sim.base_state.loss == 0
    assert sim.base_state.counters['auth_failed'] == 0


@both
def test_every_report_period_costs_a_few_dozen_bytes(key: bytes | None) -> None:
    sim = simulation(key, report_period_ns=SECOND)
    sim.run(60, streams=(0, 7))
    cost = sum(len(datagram) + 28 for _, datagram in sim.sent['robot']) / 60
    assert cost < (65 if key is None else 85)


@both
def test_newest_wins_and_streams_take_turns(key: bytes | None) -> None:
    sim = simulation(key, bytes_per_second=600)
    sim.run(5)
    for _ in range(40):
        for stream_id in (0, 7):
            for _ in range(3):
                newest = sim.picture(stream_id, 250)
        sim.run(1, streams=())
    counts = [sum(picture.stream_id == stream_id for _, picture in sim.pictures[-30:])
              for stream_id in (0, 7)]
    assert counts == [15, 15]
    assert newest - sim.pictures[-1][1].sequence <= 6
    assert sim.robot_state.counters['overtaken'] >= 100


def test_a_begun_picture_is_finished_and_what_is_stale_is_not_sent() -> None:
    sim = simulation(None, bytes_per_second=300, mtu=100, stale_ns=3 * SECOND)
    sim.run(15, streams=())
    begun = sim.picture(0, 300)
    sim.run(0.1, streams=())
    newer = sim.picture(0, 100)
    sim.run(5, streams=())
    assert [picture.sequence for _, picture in sim.pictures] == [begun, newer]
    never_begun = sim.picture(0, 100)
    sim.now_ns += 4 * SECOND
    too_long = sim.picture(7, 900)  # what is left of it after three seconds is not sent
    sim.run(10, streams=())
    got = [picture.sequence for _, picture in sim.pictures]
    assert never_begun not in got
    assert too_long not in got
    assert sim.robot_state.counters['dropped_late'] == 2


@both
@pytest.mark.parametrize('seed', range(3))
def test_a_restart_of_the_base_station_costs_one_picture(key: bytes | None, seed: int) -> None:
    sim = simulation(key, seed=seed)
    for _ in range(8):
        sim.run(3 + sim.chance.random())
        sim.start_base()
        restarted_ns = sim.now_ns
        sim.run(2.5)
        late = [sequence for (_, sequence), (stamp_ns, _) in sim.offered.items()
                if sequence not in [picture.sequence for _, picture in sim.pictures]]
        first_ns = next(at_ns for at_ns, _ in sim.pictures if at_ns >= restarted_ns)
        assert first_ns - restarted_ns <= 1200 * MS  # 1 period, 1 round trip, 1 period
        assert len(late) <= 2
        assert any(isinstance(event, RefreshAsked) and at_ns >= restarted_ns
                   for at_ns, event in sim.robot_events)
        assert any(isinstance(event, Facts) and at_ns >= restarted_ns
                   for at_ns, event in sim.base_events)
        sim.offered.clear()


@both
@pytest.mark.parametrize('seed', range(3))
def test_a_restart_of_the_robot_costs_no_picture_after_a_round_trip(key: bytes | None,
                                                                    seed: int) -> None:
    sim = simulation(key, seed=seed)
    for _ in range(8):
        sim.run(3 + sim.chance.random())
        sim.start_robot()
        restarted_ns = sim.now_ns
        sim.run(2.5)
        first_ns = next(at_ns for at_ns, picture in sim.pictures
                        if sim.offered_at(picture) >= restarted_ns)
        assert first_ns - restarted_ns <= 700 * MS
        assert any(isinstance(event, Restarted) and at_ns >= restarted_ns
                   for at_ns, event in sim.base_events)


@both
def test_both_may_be_killed_at_any_time_on_a_bad_link(key: bytes | None) -> None:
    sim = simulation(key, BAD, fec=WITH_FEC, mtu=200)
    for _ in range(25):
        sim.run(4 + 3 * sim.chance.random())
        sim.chance.choice([sim.start_robot, sim.start_base])()
    sim.run(5)
    times = [at_ns for at_ns, _ in sim.pictures]
    assert max(after - before for before, after in zip(times, times[1:], strict=False)) <= 5e9


@both
def test_a_base_station_that_starts_late_sees_the_next_picture(key: bytes | None) -> None:
    sim = simulation(key)
    sim.change(channel(loss=1.0))
    sim.run(20)
    sim.start_base()
    sim.change(channel())
    late_ns = sim.now_ns
    sim.run(5)
    waited_ns = sim.pictures[0][0] - late_ns
    # With a key the robot calls once a second until it is answered, then sends what is newest.
    assert waited_ns <= (700 * MS if key is None else 1900 * MS)
    assert sim.pictures[-1][1].facts == facts(0)


def test_stamps_are_right_before_any_facts_and_after_a_jump_of_the_clock() -> None:
    sim = simulation(None)
    sim.robot = RobotEndpoint(settings(), boot=3)  # describes nothing
    sim.run(3)
    assert [picture.facts for _, picture in sim.pictures] == [None] * len(sim.pictures)
    assert len(sim.pictures) >= 5  # the simulation has compared their stamps
    sim.start_robot()
    sim.run(3)
    for days in (10, -400, 0.5, 3000):
        stamp_ns = sim.now_ns + int((500 + days) * 86400) * SECOND * 1
        sim.robot.offer(0, 9, stamp_ns, b'jumped', sim.now_ns)
        sim.offered[0, 9] = stamp_ns, b'jumped'
        sim.run(2, streams=())
        assert sim.pictures[-1][1].stamp_ns == stamp_ns


@both
def test_acks_come_once_for_what_came_and_survive_lost_reports(key: bytes | None) -> None:
    sim = simulation(key, replace(BAD, loss=0.25))
    sim.run(120)
    acked = [event.sequence for _, event in sim.robot_events if isinstance(event, Acked)]
    assert len(acked) == len(set(acked))
    delivered = {picture.sequence for _, picture in sim.pictures}
    assert set(acked) <= delivered
    assert len(acked) > 0.95 * len(delivered)


def test_pictures_of_an_encoder_that_starts_again_are_not_taken_for_old_ones() -> None:
    """Its numbers start over: only those that really came again may be acknowledged."""
    sim = simulation(None)
    for first in (100, 95):
        sim.sequence = first
        for number in range(6):
            sim.change(channel(loss=1.0 if first == 95 and number in (1, 2) else 0.0))
            sim.run(0.5)
    sim.change(channel())
    sim.run(2, streams=())
    runs = [event.sequence for _, event in sim.robot_events if isinstance(event, Acked)]
    assert runs == [101, 102, 103, 104, 105, 106, 96, 99, 100, 101]


@both
def test_requests_arrive_once_in_order_and_nothing_else_is_lost(key: bytes | None) -> None:
    sim = simulation(key, replace(BAD, loss=0.3))
    sim.run(5)
    kinds = [RequestKind.PAUSE, RequestKind.RATE, RequestKind.RESUME, RequestKind.ROI] * 5
    wanted = []
    for index, kind in enumerate(kinds):
        wanted.append(sim.request(7, kind, index))
        sim.run(3)
    sim.run(10)
    got = [event.request for _, event in sim.robot_events if isinstance(event, Requested)]
    assert got == wanted
    assert sim.base_state.counters['requests_expired'] == 0


def test_a_refresh_reaches_every_stream_and_too_old_requests_are_forgotten() -> None:
    sim = simulation(None)
    sim.run(3)
    sim.robot_events.clear()
    sim.request(None, RequestKind.REFRESH)
    sim.request(7, RequestKind.REFRESH)
    sim.request(9, RequestKind.REFRESH)  # there is no stream 9
    sim.run(3)
    streams = [event.stream_id for _, event in sim.robot_events
               if isinstance(event, RefreshAsked)]
    assert sorted(streams) == [0, 7, 7]
    sim.change(channel(loss=1.0))
    for value in range(MAX_PENDING):
        sim.request(0, RequestKind.RATE, value)
    with pytest.raises(TooManyRequestsError):
        sim.request(0, RequestKind.PAUSE)
    sim.run(20)
    assert sim.base_state.counters['requests_expired'] == MAX_PENDING


def test_status_tells_what_goes_on() -> None:
    sim = simulation(None, replace(BAD, loss=0.2, jitter_s=0, doubled=0.0), mtu=100)
    sim.run(120, size=150)
    robot, base = sim.robot_state, sim.base_state
    assert robot.connected and base.connected
    for state in (robot, base):
        assert 0.1 < state.loss < 0.3
        assert sum(state.bytes_by_part.values()) == state.counters['sent_bytes']
    assert base.goodput == pytest.approx(190, rel=0.4)
    assert robot.goodput == pytest.approx(base.goodput, rel=0.5)
    assert robot.round_trip_ns == pytest.approx(400 * MS, abs=30 * MS)
    sim.change(channel(loss=1.0))
    sim.run(10)
    assert not sim.robot_state.connected
    assert sim.robot_state.silent_ns >= 9 * SECOND
    assert len(sim.sent['base']) > 100  # it goes on sending


def test_queueing_is_seen_apart_from_the_time_that_large_datagrams_take() -> None:
    """A link of 1000 bytes a second, first with little to carry, then with too much."""
    delays = []
    for size in (150, 600):
        sim = simulation(None, LineSettings(8.0), mtu=700, bytes_per_second=4000)
        sim.run(30, size=size)
        delays.append(sim.base_state.queue_delay_ns)
    assert delays[0] < 100 * MS
    assert delays[1] > 3 * SECOND


@pytest.mark.parametrize(('name', 'value'), [
    ('mtu', 63), ('mtu', 1501), ('bytes_per_second', 91), ('floor', 0), ('floor', 2001),
    ('overhead_bytes', -1), ('report_period_ns', 0), ('stale_ns', 0), ('key', b'short'),
    ('fec', 'maybe')])
def test_settings_outside_their_range_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=name):
        settings(**{name: value})


def test_parity_without_its_library_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependencyError('zfec', 'pip install zfec')
    monkeypatch.setattr(fec, '_zfec', missing)
    with pytest.raises(MissingDependencyError, match='pip install zfec'):
        settings(fec='on')


@pytest.mark.parametrize('fec_mode', ['off', WITH_FEC])
@both
def test_the_largest_packet_is_sent_and_a_larger_one_refused(fec_mode: str,
                                                             key: bytes | None) -> None:
    sim = simulation(key, mtu=64, fec=fec_mode, bytes_per_second=10**6)
    sim.run(2)
    largest = sim.robot.largest_packet
    sequence = sim.picture(0, largest)
    sim.run(2, streams=())
    assert sim.pictures[-1][1].sequence == sequence
    with pytest.raises(InvalidInputError, match='packet length'):
        sim.picture(0, largest + 1)


def test_medians_on_the_thinnest_link() -> None:
    """2.4 kbit/s, 600 ms, 2 % loss, everything on: pictures keep coming, age below 4 s."""
    sim = simulation(KEY, channel(0.6, jitter_s=0.05, loss=0.02), bytes_per_second=300, mtu=300,
                     report_period_ns=2 * SECOND)
    sim.run(120, period_ns=1000 * MS, size=150)
    ages = [at_ns - sim.offered_at(picture) for at_ns, picture in sim.pictures]
    assert statistics.median(ages) < 4 * SECOND
    assert len(ages) > 60


def test_streams_have_numbers_of_one_byte() -> None:
    with pytest.raises(InvalidInputError, match='stream_id'):
        RobotEndpoint(settings(), boot=1).describe(256, facts(0))
