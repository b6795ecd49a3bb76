"""
Both ends under a key against everything that a line and an attacker can do, in any order.

The attacker hears all datagrams, holds them back, loses, doubles, mixes, alters and repeats them
whenever it likes, to either end, and calls with a key of its own; both ends are killed and started
again. Whatever happens, nothing is taken twice or from anybody else, and once the line delivers
both ends understand each other.
"""
from __future__ import annotations

from gsc_ros.link.session.base import BaseEndpoint, Picture
from gsc_ros.link.session.ciphering import BaseSession, RobotSession
from gsc_ros.link.session.events import TwoRobots
from gsc_ros.link.session.requests import TooManyRequestsError
from gsc_ros.link.session.robot import Requested, RobotEndpoint
from gsc_ros.link.wire.crypto import Word
from gsc_ros.link.wire.datagrams import Head, Kind, Request, RequestKind
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, RuleBasedStateMachine
from link_simulation import facts, KEY, MS, SECOND, settings

OTHER_KEY = bytes(range(1, 33))
WALL_NS = 1_800_000_000 * SECOND
# Datagrams of both ends, and time, within which they understand each other on a good line: silence
# is noticed after 4 s, a HELLO is answered at once unless its word was answered too often lately.
WITHIN_DATAGRAMS, WITHIN_NS = 80, 30 * SECOND
index = st.integers(0, 10**6)


class Link(RuleBasedStateMachine):
    """What waits on the line, what was ever on it, and what both ends have taken."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1000 * SECOND
        self.boots = self.offered = 0
        self.line: list[tuple[str, bytes]] = []      # not delivered yet: to whom, what
        self.recorded: list[bytes] = []
        self.pictures: list[bytes] = []
        self.obeyed: list[float] = []
        self.told_two_robots = False
        self.start_robot()
        self.start_base()

    def next_boot(self) -> int:
        self.boots += 1
        return self.boots << 40 | 77

    @rule()
    def start_robot(self) -> None:
        """Kill and start the robot's end."""
        self.run = self.next_boot()
        self.robot = RobotEndpoint(settings(key=KEY), boot=self.run)
        self.robot.describe(0, facts(0))

    @rule()
    def start_base(self) -> None:
        """Kill and start the base station's end."""
        self.base = BaseEndpoint(settings(key=KEY), boot=self.next_boot(),
                                 wall_offset_ns=WALL_NS)

    @rule(wait_ms=st.sampled_from([0, 10, 200, 1000, 3000, 9000, 20_000]))
    def work(self, wait_ms: int) -> None:
        """Let time pass; both ends send what is due."""
        self.now_ns += wait_ms * MS
        for to, datagrams in (('base', self.robot.poll(self.now_ns)),
                              ('robot', self.base.poll(self.now_ns))):
            self.line += [(to, datagram) for datagram in datagrams]
            self.recorded += datagrams

    @rule()
    def offer(self) -> None:
        """Offer a picture unlike all others; it tells the robot's run."""
        self.offered += 1
        self.robot.offer(0, self.offered, WALL_NS + self.now_ns, b'%d of %d' % (
            self.offered, self.run), self.now_ns)

    @rule()
    def request(self) -> None:
        """Ask for something unlike everything that was asked for before."""
        self.offered += 1
        try:
            self.base.request(Request(0, RequestKind.RATE, (float(self.offered),)), self.now_ns)
        except TooManyRequestsError:
            pass

    @rule(count=st.integers(1, 20))
    def deliver_in_order(self, count: int) -> None:
        """Let the line do what it should."""
        for _ in range(min(count, len(self.line))):
            self.arrive(*self.line.pop(0))

    @precondition(lambda self: self.line)
    @rule(at=index, copies=st.integers(0, 3))
    def deliver_one(self, at: int, copies: int) -> None:
        """Lose, overtake or double one datagram."""
        to, datagram = self.line.pop(at % len(self.line))
        for _ in range(copies):
            self.arrive(to, datagram)

    @precondition(lambda self: self.recorded)
    @rule(at=index, to=st.sampled_from(['base', 'robot']))
    def replay(self, at: int, to: str) -> None:
        """Send something again that was on the line, however long ago, to whomever."""
        self.arrive(to, self.recorded[at % len(self.recorded)])

    @precondition(lambda self: self.recorded)
    @rule(to=st.sampled_from(['base', 'robot']))
    def replay_all(self, to: str) -> None:
        """Send everything again."""
        for datagram in list(self.recorded):
            self.arrive(to, datagram)

    @precondition(lambda self: self.recorded)
    @rule(at=index, bit=index, cut=st.integers(0, 3))
    def alter(self, at: int, bit: int, cut: int) -> None:
        """Turn a bit, cut the end; it is never taken."""
        data = bytearray(self.recorded[at % len(self.recorded)])
        data[bit // 8 % len(data)] ^= 1 << bit % 8
        before = self.taken()
        for to in ('base', 'robot'):
            self.arrive(to, bytes(data[:len(data) - cut]))
        assert self.taken() == before

    @rule(word=st.integers(0, 2**64 - 1), noise=st.binary(min_size=1, max_size=60))
    def forge(self, word: int, noise: bytes) -> None:
        """Speak with another key, as a robot and as a base station, or make a noise."""
        robot, base = RobotSession(OTHER_KEY, word), BaseSession(OTHER_KEY, word)
        robot.open(base.answer(base.read_hello(robot.hello()), 250))
        before = self.taken()
        for to, datagrams in (
                ('base', (robot.hello(), robot.seal(Head(Kind.DATA), noise)[1], noise)),
                ('robot', (base.answer(Word(self.run, 0), 250), noise))):
            for datagram in datagrams:
                self.arrive(to, datagram)
        assert self.taken() == before

    def taken(self) -> tuple[int, int]:
        return (self.base.counters['datagrams_received'],
                self.robot.counters['datagrams_received'])

    def arrive(self, to: str, datagram: bytes) -> None:
        """Let a datagram arrive, and note what is taken of it."""
        if to == 'robot':
            self.obeyed += [event.request.values[0]
                            for event in self.robot.receive(datagram, self.now_ns)
                            if isinstance(event, Requested)]
            return
        for event in self.base.receive(datagram, self.now_ns):
            self.told_two_robots |= isinstance(event, TwoRobots)
            if isinstance(event, Picture):
                self.pictures.append(event.packet)

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        """Neither pictures nor requests, over all runs of both ends."""
        assert len(set(self.pictures)) == len(self.pictures)
        assert len(set(self.obeyed)) == len(self.obeyed)

    @invariant()
    def runs_never_return(self) -> None:
        """Pictures of a run come after those of all runs before it: there is one robot."""
        runs = [int(packet.split(b' of ')[1]) for packet in self.pictures]
        assert runs == sorted(runs)
        assert not self.told_two_robots

    def teardown(self) -> None:
        """Let the line deliver everything at once: pictures and a request cross soon."""
        self.line.clear()
        self.sent, self.began_ns, seen = 0, self.now_ns, len(self.pictures)
        while len(self.pictures) < seen + 2 or not self.robot.status(self.now_ns).connected:
            self.turn()
            assert self.now_ns - self.began_ns <= WITHIN_NS
            assert self.sent <= WITHIN_DATAGRAMS
        self.began_ns = self.now_ns
        self.request()
        while float(self.offered) not in self.obeyed and len(self.base._requests):
            self.turn(offer=False)
            assert self.now_ns - self.began_ns <= WITHIN_NS  # those asked for before go first

    def turn(self, *, offer: bool = True) -> None:
        """Let both ends hear what the other has to say."""
        if offer:
            self.offer()
        self.work(250)
        self.sent += len(self.line)
        self.deliver_in_order(len(self.line))
        self.nothing_is_taken_twice()
        self.runs_never_return()


Link.TestCase.settings = budget(max_examples=40, stateful_step_count=40, deadline=None)
TestLink = Link.TestCase
