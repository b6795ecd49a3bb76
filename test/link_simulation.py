"""Both ends of the link in virtual time, over lines that lose, delay, mix and double."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
import math
import random

from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.session.events import BaseEvent, Picture, RobotEvent
from gsc_ros.link.session.robot import StreamFacts
from gsc_ros.link.settings import LinkSettings, LinkState
from gsc_ros.link.simulation import LinkSimulation, WALL_NS
from gsc_ros.link.wire.datagrams import Request, RequestKind

MS = 1_000_000
SECOND = 1000 * MS
BASE_CLOCK_NS = 987_654_321_987
KEY = bytes(range(32))


def settings(**changes: object) -> LinkSettings:
    """Make settings of a 16 kbit/s link, with changes."""
    values: dict[str, object] = {
        'bytes_per_second': 2000, 'floor': 200, 'adapt': False, 'mtu': 400,
        'overhead_bytes': 28, 'fec': 'off', 'report_period_ns': SECOND // 2,
        'stale_ns': 4 * SECOND}
    return LinkSettings(**(values | changes))


def channel(delay_s: float = 0.1, **changes: object) -> LineSettings:
    """Make a line without a speed limit, on which the ends are alone to blame."""
    values: dict[str, object] = {'kbps': math.inf, 'delay_s': delay_s, 'in_order': False}
    return LineSettings(**(values | changes))


class Simulation(LinkSimulation):
    """Two streams of made-up pictures; compares what is delivered with what was offered."""

    def __init__(self, robot: LinkSettings, base: LinkSettings, line: LineSettings | None = None,
                 seed: int = 0, streams: Iterable[int] = (0, 7)) -> None:
        """Start both ends, with the same line each way."""
        line = line or channel()
        self.chance = random.Random(seed)
        self.offered: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.sent: dict[str, list[tuple[int, bytes]]] = {'base': [], 'robot': []}
        self.pictures: list[tuple[int, Picture]] = []
        self.robot_events: list[tuple[int, RobotEvent]] = []
        self.base_events: list[tuple[int, BaseEvent]] = []
        self.sequence = self.chance.randrange(65536)
        super().__init__(robot, base, line, line, {number: facts(number) for number in streams},
                         seed, 1000 * SECOND, base_clock_ns=BASE_CLOCK_NS)

    def picture(self, stream_id: int = 0, size: int = 200) -> int:
        """Offer a new picture; return its sequence number."""
        self.sequence = (self.sequence + 1) % 65536
        stamp_ns = WALL_NS + self.now_ns // 100_000 * 100_000
        packet = self.chance.randbytes(size)
        self.offered[stream_id, self.sequence] = stamp_ns, packet
        self.offer(stream_id, self.sequence, stamp_ns, packet, self.now_ns)
        return self.sequence

    def request(self, stream_id: int | None, kind: RequestKind, *values: float) -> Request:
        """Request something at the base station; return the request."""
        request = Request(stream_id, kind, values)
        self.base.request(request, self.now_ns + BASE_CLOCK_NS)
        return request

    def change(self, line: LineSettings) -> None:
        """Exchange the line of both directions."""
        for each in self.lines:
            each.settings = line

    def carry(self, end: int, datagrams: Sequence[bytes]) -> None:
        """Note what leaves an end and for where."""
        self.sent[('base', 'robot')[end]] += [(self.now_ns, datagram) for datagram in datagrams]
        super().carry(end, datagrams)

    def inject(self, to: str, datagram: bytes) -> None:
        """Let a datagram of somebody else arrive now."""
        {'base': self.to_base, 'robot': self.to_robot}[to](datagram)

    def step(self, step_ns: int = 10 * MS) -> None:
        """Let time pass; note and check what happens."""
        happened = self.advance(self.now_ns + step_ns)
        self.robot_events += happened.robot_events
        self.base_events += happened.base_events
        for delivered in happened.pictures:
            self.check(delivered.picture)
            self.pictures.append((delivered.arrived_ns, delivered.picture))

    def run(self, seconds: float, *, period_ns: int = 500 * MS, streams: tuple[int, ...] = (0,),
            size: int = 200) -> None:
        """Offer a picture of each stream every ``period_ns``."""
        for step in range(int(seconds * 100)):
            if step * 10 * MS % period_ns == 0:
                for stream_id in streams:
                    self.picture(stream_id, size)
            self.step()

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
