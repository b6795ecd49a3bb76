"""What strangers, recorders and second robots cost: nothing of a session, little of the link."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import itertools
import random

from gsc_ros.link.session.base import BaseEndpoint
from gsc_ros.link.session.ciphering import RobotSession
from gsc_ros.link.session.events import OtherVersion, TwoRobots
from gsc_ros.link.session.robot import RobotEndpoint
from gsc_ros.link.simulation import WALL_NS
from gsc_ros.link.wire.datagrams import Head, Kind
from link_simulation import BASE_CLOCK_NS, channel, facts, KEY, MS, SECOND, settings, Simulation
import pytest

OTHER_KEY = bytes(32)


def noise(seed: int) -> Iterator[bytes]:
    """Make what a stranger without the key can send: calls, datagrams, old versions, rubbish."""
    chance = random.Random(seed)
    for number in itertools.count():
        stranger = RobotSession(OTHER_KEY, chance.getrandbits(64))
        hello = stranger.hello()
        yield (hello, hello[:1] + chance.randbytes(28), b'\xa0' + chance.randbytes(60),
               b'\x74' + chance.randbytes(4), b'\xb0' + chance.randbytes(20),
               chance.randbytes(chance.randint(1, 80)))[number % 6]


def flooded(sim: Simulation, seconds: float, rate: int, seed: int = 0, **run: object) -> None:
    """Run while a stranger sends ``rate`` datagrams a second to the base station."""
    stray = noise(seed)
    for _ in range(int(seconds * 100)):
        for _ in range(sim.chance.choices((rate // 100, rate // 100 + 1),
                                          (100 - rate % 100, rate % 100))[0]):
            sim.inject('base', next(stray))
        sim.run(0.01, **run)  # type: ignore[arg-type]


def down_bytes(sim: Simulation) -> int:
    return sum(len(datagram) + 28 for _, datagram in sim.sent['robot'])


@pytest.mark.parametrize('rate', [20, 100, 300])
@pytest.mark.parametrize('seed', range(3))
def test_a_flood_of_calls_does_not_delay_a_session(rate: int, seed: int) -> None:
    """100 a second kept a robot out for ever; now it has its session within a round trip."""
    sim = Simulation(settings(key=KEY), settings(key=KEY, bytes_per_second=500), seed=seed)
    sim.robot = RobotEndpoint(settings(key=OTHER_KEY), boot=1)  # nobody the base station knows
    flooded(sim, 5, rate, seed, streams=())
    sim.start_robot()
    began_ns = sim.now_ns
    flooded(sim, 2, rate, seed)
    assert sim.pictures[0][0] - began_ns < 0.9 * SECOND  # a round trip, a picture each 0.5 s
    assert sim.robot_state.connected


@pytest.mark.parametrize('rate', [25, 100])
def test_calls_cost_a_standing_session_nothing(rate: int) -> None:
    """Same bytes towards the robot, same rate, same pictures as without a stranger."""
    sims = []
    for stray in (0, rate):
        sim = Simulation(settings(key=KEY, adapt=True, floor=400),
                         settings(key=KEY, bytes_per_second=500), seed=4)
        sim.run(10)
        sim.sent['robot'].clear()
        flooded(sim, 30, stray, 1, period_ns=10 * MS)
        sims.append(sim)
    quiet, noisy = sims
    assert down_bytes(noisy) == down_bytes(quiet)
    assert noisy.robot_state.rate == quiet.robot_state.rate
    assert len(noisy.pictures) == len(quiet.pictures) > 100


def test_while_nobody_is_there_strangers_cost_a_tenth_of_the_ceiling() -> None:
    """One datagram of 21 bytes a second asks for HELLO, whatever comes."""
    sim = Simulation(settings(key=OTHER_KEY), settings(key=KEY, bytes_per_second=500))
    flooded(sim, 30, 100, streams=())
    assert 0 < down_bytes(sim) / 30 <= 50


def test_a_recorded_call_costs_little_and_ends_nothing() -> None:
    """25 a second of one recorded HELLO: less than a tenth of what goes to the robot."""
    sim = Simulation(settings(key=KEY), settings(key=KEY, bytes_per_second=500))
    hello = sim.robot.poll(sim.now_ns)[0]
    assert len(hello) == 29
    sim.inject('base', hello)
    sim.run(10)
    before = down_bytes(sim) / 10
    sim.sent['robot'].clear()
    for _ in range(600):
        sim.inject('base', hello)
        sim.run(0.04, streams=())
        if sim.now_ns % (500 * MS) < 40 * MS:
            sim.picture()
    assert down_bytes(sim) / 24 < 1.1 * before + 10
    assert sim.robot_state.connected
    assert sim.base_state.counters['two_robots'] == 0


def test_many_recorded_calls_do_not_delay_a_robot() -> None:
    """100 a second of 100 recorded HELLOs: a robot that starts has its session at once."""
    sim = Simulation(settings(key=KEY), settings(key=KEY, bytes_per_second=500))
    recorded = [RobotSession(KEY, 10**12 + run).hello() for run in range(100)]
    for step in range(25_000):  # of 10 ms
        sim.inject('base', recorded[step % 100])
        if step == 22_000:  # by then each has been answered once
            sim.start_robot()
            began_ns = sim.now_ns
            sim.sent['robot'].clear()
            seen = len(sim.pictures)
        if step % 50 == 0:
            sim.picture()
        sim.step()
    assert sim.pictures[seen][0] - began_ns < 0.9 * SECOND
    assert sim.base_state.counters['two_robots'] == 0


def test_a_robot_that_heard_nothing_for_long_calls_again_and_is_answered() -> None:
    """Whatever the base station thinks of the session: 4 s of silence, then HELLO every 4 s."""
    sim = Simulation(settings(key=KEY), settings(key=KEY))
    sim.run(5)
    sim.lines[1].settings = channel(loss=1.0)
    sim.sent['base'].clear()
    sim.run(21)
    hellos = [at_ns for at_ns, data in sim.sent['base'] if data[0] >> 2 & 7 == Kind.HELLO]
    assert len(hellos) == 5
    assert all(later - at_ns >= 4 * SECOND for at_ns, later in itertools.pairwise(hellos))
    sim.change(channel())
    sim.run(6)
    assert sim.robot_state.connected
    seen = len(sim.pictures)
    sim.run(5)
    assert len(sim.pictures) == seen + 10


def test_slow_reports_are_no_silence() -> None:
    """A base station that reports every 10 s tells so; the robot keeps its session."""
    sim = Simulation(settings(key=KEY), settings(key=KEY, report_period_ns=10 * SECOND))
    sim.run(60)
    hellos = [data for _, data in sim.sent['base'] if data[0] >> 2 & 7 == Kind.HELLO]
    assert len(hellos) == 1
    assert sim.robot_state.connected


class SecondRobot:
    """Another robot at the same base station, with a line of its own."""

    def __init__(self, sim: Simulation, key: bytes | None, delay_ns: int) -> None:
        self.sim, self.delay_ns = sim, delay_ns
        self.robot = RobotEndpoint(settings(key=key), boot=99)
        self.robot.describe(0, facts(0))
        self.flying: list[tuple[int, bytes]] = []
        self.sequence = 0

    def step(self) -> None:
        """Both hear the base station: it cannot know which of them it speaks to."""
        now_ns = self.sim.now_ns
        if now_ns // (500 * MS) != (now_ns - 10 * MS) // (500 * MS):
            self.sequence += 1
            self.robot.offer(0, self.sequence, WALL_NS + now_ns, b'other robot', now_ns)
        self.flying += [(now_ns + self.delay_ns, data) for data in self.robot.poll(now_ns)]
        while self.flying and self.flying[0][0] <= now_ns:
            data = self.flying.pop(0)[1]
            self.sim.base_events += [
                (now_ns, event) for event in self.sim.base.receive(data, now_ns + BASE_CLOCK_NS)]
        for _, data in self.sim.sent['robot']:
            self.robot.receive(data, now_ns)
        self.sim.sent['robot'].clear()


@pytest.mark.parametrize('delay_s', [0.05, 0.6, 2.0])
@pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'sealed'])
def test_two_robots_with_one_key_are_told_of_and_one_goes_on(key: bytes | None,
                                                             delay_s: float) -> None:
    sim = Simulation(settings(key=key), settings(key=key), channel(delay_s))
    sim.run(10)
    assert not [event for _, event in sim.base_events if isinstance(event, TwoRobots)]
    second = SecondRobot(sim, key, int(delay_s * SECOND))
    seen = 0
    for step in range(6000):
        if step == 3000:  # by then it is known; from now on nobody interrupts the one that is kept
            seen = len(sim.pictures)
        if step % 50 == 0:
            sim.picture()
        sim.step()
        second.step()
    assert [event for _, event in sim.base_events if isinstance(event, TwoRobots)]
    assert sim.base_state.counters['two_robots'] > 0
    kept = len(sim.pictures) - seen
    assert kept >= 58 or kept == 0
    assert sim.base_state.connected


@pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'sealed'])
def test_a_robot_that_is_restarted_often_is_one_robot(key: bytes | None) -> None:
    sim = Simulation(settings(key=key), settings(key=key), channel(0.3, jitter_s=0.3, loss=0.1))
    for _ in range(20):
        sim.run(1 + 4 * sim.chance.random())
        sim.start_robot()
    sim.run(5)
    assert not [event for _, event in sim.base_events if isinstance(event, TwoRobots)]
    assert sim.robot_state.connected


@pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'sealed'])
def test_another_version_is_told_by_its_number_at_both_ends(key: bytes | None) -> None:
    sim = Simulation(settings(key=key), settings(key=key))
    sim.run(2)
    for _ in range(50):
        old = bytes([1 << 6 | Head(Kind.DATA).kind << 2]) + bytes(40)
        sim.inject('base', old)
        sim.inject('robot', old)
    sim.run(1)
    for events, state in ((sim.base_events, sim.base_state),
                          (sim.robot_events, sim.robot_state)):
        told = [str(event) for _, event in events if isinstance(event, OtherVersion)]
        assert told == ['a datagram of link version 1 came, this side speaks 2: install the '
                        'same gsc_ros version on robot and base station']
        assert state.counters['other_version'] == 50


def test_nothing_is_kept_of_strangers() -> None:
    """A hundred thousand calls leave a base station as it was."""
    base = BaseEndpoint(settings(key=KEY), boot=1)
    stray = noise(3)
    for number in range(20_000):
        assert base.receive(next(stray), number * MS) == [] or number % 6 in (3, 5)
        base.answers(number * MS)
    assert base._greeting is not None
    assert not base._greeting._words
    assert not base._session._answered  # type: ignore[union-attr]
    assert base._runs.current is None
    assert replace(base.status(0), counters={}, bytes_by_part={}).connected is False
