"""
Both ends of the link, joined by two emulated lines under a clock that the caller turns.

The real endpoints exchange their real datagrams: what evaluation measures under loss and delay is
what robot and base station do. No threads, no sockets; the same seed gives the same run.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import random

from gsc_ros.link.emulator import Line
from gsc_ros.link.feedback import Feedback
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.robot_feedback import RobotFeedback
from gsc_ros.link.session.base import BaseEndpoint
from gsc_ros.link.session.events import BaseEvent, Picture, RobotEvent
from gsc_ros.link.session.robot import RobotEndpoint, StreamFacts
from gsc_ros.link.settings import LinkSettings
from gsc_ros.units import SECOND_NS

# An end that is due again at once waits at least so long.
LEAST_STEP_NS = 100_000
WALL_NS = 1_800_000_000 * SECOND_NS


@dataclass(frozen=True)
class Delivered:
    """A picture at the base station; ``arrived_ns`` is when its last datagram came."""

    arrived_ns: int
    picture: Picture


@dataclass(frozen=True)
class Told:
    """What the robot's end tells the sender of a stream at a time."""

    told_ns: int
    stream_id: int
    feedback: Feedback


@dataclass
class Happened:
    """What ``advance`` has seen, each kind in order of time."""

    pictures: list[Delivered] = field(default_factory=list)
    feedback: list[Told] = field(default_factory=list)
    base_events: list[tuple[int, BaseEvent]] = field(default_factory=list)
    robot_events: list[tuple[int, RobotEvent]] = field(default_factory=list)


class LinkSimulation:
    """
    A robot's and a base station's end with a line each way.

    ``robot`` and ``base`` may be replaced, as if their processes were killed and started again.
    """

    def __init__(self, robot: LinkSettings, base: LinkSettings, up: LineSettings,
                 down: LineSettings, streams: Mapping[int, StreamFacts], seed: int, now_ns: int, *,
                 base_clock_ns: int = 0) -> None:
        """
        Start both ends at ``now_ns``.

        :param up: line from the robot to the base station; ``down``: back. They add their own
            headers, which should be those of the settings' ``overhead_bytes``.
        :param streams: facts of the robot's streams by their numbers.
        :param base_clock_ns: what the base station's clock is ahead of the robot's.
        """
        self.robot_settings, self.base_settings = robot, base
        self.now_ns, self._base_clock_ns = now_ns, base_clock_ns
        self._facts = dict(streams)
        self._random = random.Random(seed)
        self.lines = (Line[bytes](up, seed, now_ns), Line[bytes](down, seed + 2, now_ns))
        self._happened = Happened()
        self.start_robot()
        self.start_base()

    def start_robot(self) -> None:
        """Start, or kill and start, the robot's end."""
        self.robot = RobotEndpoint(self.robot_settings, boot=self._random.getrandbits(32))
        self.feedback = RobotFeedback(self.robot_settings, self._facts)
        for number, facts in self._facts.items():
            self.robot.describe(number, facts)

    def start_base(self) -> None:
        """Start, or kill and start, the base station's end."""
        self.base = BaseEndpoint(self.base_settings, boot=self._random.getrandbits(32),
                                 wall_offset_ns=WALL_NS - self._base_clock_ns)

    def offer(self, stream_id: int, sequence: int, stamp_ns: int, packet: bytes,
              now_ns: int) -> None:
        """
        Hand a packet to the robot's end at a time not before the last ``advance``.

        :raises InvalidInputError: for a packet that the link cannot carry.
        """
        self._turn_to(now_ns)
        self.robot.offer(stream_id, sequence, stamp_ns, packet, self.now_ns)
        self.feedback.streams[stream_id].offered(sequence, stamp_ns)

    def advance(self, until_ns: int) -> Happened:
        """Let time pass until ``until_ns``; what has happened since the last call."""
        self._turn_to(until_ns)
        happened, self._happened = self._happened, Happened()
        return happened

    def tell(self, stream_id: int) -> Feedback:
        """Return the feedback that a sender would get now, as the node sends it each second."""
        return self.feedback.take(stream_id, self.robot.allowed_rate)

    def _turn_to(self, until_ns: int) -> None:
        self._work()
        while (next_ns := self._next_ns()) <= until_ns:
            self.now_ns = next_ns
            self._work()
        self.now_ns = max(self.now_ns, until_ns)
        self._work()

    def _next_ns(self) -> int:
        base_ns = self.base.next_ns()
        times = [self.robot.next_ns(), None if base_ns is None else base_ns - self._base_clock_ns,
                 *(line.next_ns() for line in self.lines)]
        earliest_ns = min((at_ns for at_ns in times if at_ns is not None),
                          default=self.now_ns + SECOND_NS)
        return max(earliest_ns, self.now_ns + LEAST_STEP_NS)

    def _work(self) -> None:
        """Let both ends send what is due and take what has arrived."""
        self.carry(0, self.robot.poll(self.now_ns))
        self.carry(1, self.base.poll(self.now_ns + self._base_clock_ns))
        up, down = self.lines
        for datagram in up.arrived(self.now_ns):
            self.to_base(datagram)
        for datagram in down.arrived(self.now_ns):
            self.to_robot(datagram)

    def carry(self, end: int, datagrams: Sequence[bytes]) -> None:
        """Put datagrams of the robot's (0) or the base station's end (1) on the line."""
        for datagram in datagrams:
            self.lines[end].offer(datagram, len(datagram), self.now_ns)

    def to_base(self, datagram: bytes) -> None:
        """Let a datagram arrive at the base station now."""
        for event in self.base.receive(datagram, self.now_ns + self._base_clock_ns):
            self._happened.base_events.append((self.now_ns, event))
            if isinstance(event, Picture):
                self._happened.pictures.append(Delivered(self.now_ns, event))

    def to_robot(self, datagram: bytes) -> None:
        """Let a datagram arrive at the robot now; its senders hear of what it says."""
        events = self.robot.receive(datagram, self.now_ns)
        for event in events:
            self._happened.robot_events.append((self.now_ns, event))
            self.feedback.note(event)
        if events:
            self._happened.feedback += [Told(self.now_ns, number, self.tell(number))
                                        for number in self._facts]
