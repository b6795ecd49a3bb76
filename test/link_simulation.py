"""Both ends of the link in virtual time, with a channel that loses, delays, mixes and doubles."""
from __future__ import annotations

from dataclasses import dataclass, field
import heapq
import itertools
import random

from gsc_ros.link.session.base import BaseEndpoint, BaseEvent, Picture
from gsc_ros.link.session.robot import RobotEndpoint, RobotEvent, StreamFacts
from gsc_ros.link.settings import LinkSettings, LinkState
from gsc_ros.link.wire.datagrams import Request, RequestKind

MS = 1_000_000
SECOND = 1000 * MS
# Stamps are of another clock than the monotonic one of either side.
WALL_NS = 1_800_000_000 * SECOND
BASE_CLOCK_NS = 987_654_321_987
KEY = bytes(range(32))


def settings(**changes: object) -> LinkSettings:
    """Make settings of a 16 kbit/s link, with changes."""
    values: dict[str, object] = {
        'bytes_per_second': 2000, 'floor': 200, 'adapt': False, 'mtu': 400,
        'overhead_bytes': 28, 'fec': 'off', 'report_period_ns': SECOND // 2,
        'stale_ns': 4 * SECOND}
    return LinkSettings(**(values | changes))


@dataclass
class Channel:
    """What happens to datagrams on their way; shares are 0..1."""

    delay_ns: int = 100 * MS
    jitter_ns: int = 0
    loss: float = 0.0
    doubled: float = 0.0

    def arrivals(self, now_ns: int, chance: random.Random) -> list[int]:
        """Say when copies of a datagram arrive."""
        if chance.random() < self.loss:
            return []
        copies = 2 if chance.random() < self.doubled else 1
        return [now_ns + self.delay_ns + chance.randint(0, self.jitter_ns)
                for _ in range(copies)]


@dataclass
class Simulation:
    """Runs both ends; tests replace them, add datagrams of their own, and read what came out."""

    robot_settings: LinkSettings
    base_settings: LinkSettings
    channel: Channel = field(default_factory=Channel)
    seed: int = 0
    now_ns: int = 1000 * SECOND

    def __post_init__(self) -> None:
        """Start both ends."""
        self.chance = random.Random(self.seed)
        self.flying: list[tuple[int, int, str, bytes]] = []
        self.order = itertools.count()
        self.sent: dict[str, list[tuple[int, bytes]]] = {'base': [], 'robot': []}
        self.offered: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.pictures: list[tuple[int, Picture]] = []
        self.robot_events: list[tuple[int, RobotEvent]] = []
        self.base_events: list[tuple[int, BaseEvent]] = []
        self.sequence = self.chance.randrange(65536)
        self.start_robot()
        self.start_base()

    def start_robot(self) -> None:
        """Start, or kill and start, the robot's end."""
        self.robot = RobotEndpoint(self.robot_settings, boot=self.chance.getrandbits(32))
        for stream_id in (0, 7):
            self.robot.describe(stream_id, facts(stream_id))

    def start_base(self) -> None:
        """Start, or kill and start, the base station's end."""
        self.base = BaseEndpoint(
            self.base_settings, boot=self.chance.getrandbits(32),
            wall_offset_ns=WALL_NS - BASE_CLOCK_NS)

    def offer(self, stream_id: int = 0, size: int = 200) -> int:
        """Offer a new picture; return its sequence number."""
        self.sequence = (self.sequence + 1) % 65536
        stamp_ns = WALL_NS + self.now_ns // 100_000 * 100_000
        packet = self.chance.randbytes(size)
        self.offered[stream_id, self.sequence] = stamp_ns, packet
        self.robot.offer(stream_id, self.sequence, stamp_ns, packet, self.now_ns)
        return self.sequence

    def request(self, stream_id: int | None, kind: RequestKind, *values: float) -> Request:
        """Request something at the base station; return the request."""
        request = Request(stream_id, kind, values)
        self.base.request(request, self.now_ns + BASE_CLOCK_NS)
        return request

    def inject(self, to: str, datagram: bytes) -> None:
        """Let a datagram of somebody else arrive now."""
        heapq.heappush(self.flying, (self.now_ns, next(self.order), to, datagram))

    def step(self, step_ns: int = 10 * MS) -> None:
        """Let both ends work, then time pass."""
        self._carry('base', self.robot.poll(self.now_ns))
        self._carry('robot', self.base.poll(self.now_ns + BASE_CLOCK_NS))
        while self.flying and self.flying[0][0] <= self.now_ns:
            _, _, to, datagram = heapq.heappop(self.flying)
            self._arrive(to, datagram)
        self.now_ns += step_ns

    def run(self, seconds: float, *, period_ns: int = 500 * MS, streams: tuple[int, ...] = (0,),
            size: int = 200) -> None:
        """Offer a picture of each stream every ``period_ns``."""
        for step in range(int(seconds * 100)):
            if step * 10 * MS % period_ns == 0:
                for stream_id in streams:
                    self.offer(stream_id, size)
            self.step()

    def _carry(self, to: str, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.sent[to].append((self.now_ns, datagram))
            for at_ns in self.channel.arrivals(self.now_ns, self.chance):
                heapq.heappush(self.flying, (at_ns, next(self.order), to, datagram))

    def _arrive(self, to: str, datagram: bytes) -> None:
        if to == 'robot':
            self.robot_events += [(self.now_ns, event)
                                  for event in self.robot.receive(datagram, self.now_ns)]
            return
        for event in self.base.receive(datagram, self.now_ns + BASE_CLOCK_NS):
            self.base_events.append((self.now_ns, event))
            if isinstance(event, Picture):
                self.check(event)
                self.pictures.append((self.now_ns, event))

    def check(self, picture: Picture) -> None:
        """Compare what is delivered with what was offered, byte for byte."""
        stamp_ns, packet = self.offered[picture.stream_id, picture.sequence]
        assert picture.packet == packet
        assert picture.stamp_ns == stamp_ns
        assert picture.facts in (None, facts(picture.stream_id))

    @property
    def robot_state(self) -> LinkState:
        """Status of the robot's end."""
        return self.robot.status(self.now_ns)

    @property
    def base_state(self) -> LinkState:
        """Status of the base station's end."""
        return self.base.status(self.now_ns + BASE_CLOCK_NS)

    def offered_at(self, picture: Picture) -> int:
        """Return when a picture was offered."""
        return picture.stamp_ns - WALL_NS


def facts(stream_id: int) -> StreamFacts:
    """Facts of a stream."""
    return StreamFacts(f'camera{stream_id}/gsc', 'optical', bytes([stream_id]) * 60)


def most_in_a_second(sent: list[tuple[int, bytes]], overhead_bytes: int) -> int:
    """Return the most wire bytes in any window of one second."""
    most = used = start = 0
    for now_ns, datagram in sent:
        used += len(datagram) + overhead_bytes
        while sent[start][0] <= now_ns - SECOND:
            used -= len(sent[start][1]) + overhead_bytes
            start += 1
        most = max(most, used)
    return most
