"""The robot's side without ROS, with a stand-in for the encoder: what holds whatever happens."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from gsc_ros.budget.plan import BudgetSettings
from gsc_ros.camera import Camera
from gsc_ros.codec.bitstream import CoderId, Packet
from gsc_ros.codec.errors import BudgetError, GscError, InvalidInputError
from gsc_ros.link.feedback import Feedback, Limits
from gsc_ros.link.session.control import Control
from gsc_ros.sender import Frame, Sender, SenderSettings, Turn
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, RuleBasedStateMachine
import numpy as np
import pytest

SECOND_NS = 1_000_000_000
CAMERAS = ('front', 'rear')
SPEED, OVERHEAD = 1000, 28      # the robot's own limits: bytes a second on the wire, headers
RATE = 10.0     # most pictures a second of one camera
LINK_OVERHEAD = 40
SMALLEST = 150


def sender_settings() -> SenderSettings:
    return SenderSettings(BudgetSettings(SPEED, RATE, SMALLEST, 1500, OVERHEAD), max_width=64,
                          max_objects=8, focus=0.8, seed=3, temporal=True)


def picture(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


class StandInEncoder:
    """Makes a packet of a ``part`` of the bytes allowed, or raises ``fault``."""

    def __init__(self) -> None:
        self.part = 1.0
        self.fault: Exception | None = None

    def encode_packet(self, shown: np.ndarray, max_bytes: int, *, sequence: int, seed: int,
                      **how: Any) -> Packet:
        """As SemanticEncoder.encode_packet; the latent is filled with the picture's level."""
        if self.fault is not None:
            raise self.fault
        latent = bytes([shown[0, 0, 0]]) * max(1, int(max_bytes * self.part) - 16)
        return Packet(CoderId.HEVC, 64, 48, 0x4801, 0, seed, sequence, None, b'', b'', latent)


class SenderMachine(RuleBasedStateMachine):
    """Pictures, feedback and failures in any order, beside a plain account of them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.now_ns, self.pictures = StandInEncoder(), 0, 0
        self.sender: Sender[int] = Sender(
            self.encoder, dict.fromkeys(CAMERAS, 1.0), sender_settings())  # type: ignore[arg-type]
        self.newest: dict[str, int] = {}        # pictures that wait
        self.told: dict[str, tuple[Limits, int]] = {}
        self.sent: list[tuple[int, int]] = []   # when, bytes on the wire
        self.started_ns, self.turns = 0, Counter[str]()
        self.sequences: dict[str, list[int]] = {name: [] for name in CAMERAS}
        self.expected = {name: Counter[str]() for name in CAMERAS}

    @initialize(start_ns=st.integers(0, 10**15))
    def start(self, start_ns: int) -> None:
        """Start the clock anywhere."""
        self.now_ns = self.started_ns = start_ns

    @rule(ms=st.integers(0, 700) | st.integers(700, 6000))
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now_ns += ms * 1_000_000

    @rule(camera=st.sampled_from(CAMERAS), level=st.integers(0, 255), readable=st.booleans())
    def offer(self, camera: str, level: int, readable: bool) -> None:
        """Offer a picture; one that cannot be read shows that only when its turn has come."""
        self.pictures += 1
        self.expected[camera] += Counter(pictures_in=1, replaced=int(camera in self.newest))
        self.newest[camera] = self.pictures

        def read() -> np.ndarray:
            if not readable and level < 64:
                raise InvalidInputError('encoding', 'x', 'known')
            return picture(level)

        self.sender.offer(camera, Frame(read, self.pictures), self.now_ns)

    @rule(camera=st.sampled_from(CAMERAS), speed=st.sampled_from([0, 300, 600, 5000]),
          control=st.builds(
              Control, paused=st.booleans(), rate=st.sampled_from([0.0, 0.0, 50.0, 400.0]),
              quality=st.sampled_from([0.05, 0.5, 1.0]),
              priority=st.sampled_from([0.0, 0.01, 3.0])),
          acknowledged=st.lists(st.integers(0, 5), max_size=3), refresh=st.booleans())
    def tell(self, camera: str, speed: int, control: Control, acknowledged: list[int],
             refresh: bool) -> None:
        """Tell what the link says of a camera."""
        limits = Limits(control, speed, LINK_OVERHEAD, 1200) if speed else Limits(control)
        self.told[camera] = limits, self.now_ns
        self.expected[camera]['acknowledged'] += len(acknowledged)
        self.sender.tell(camera, Feedback(tuple(acknowledged), refresh, limits), self.now_ns)

    @rule(part=st.floats(0.1, 1.0), encoding_ms=st.integers(0, 300),
          fault=st.sampled_from([None, None, None, BudgetError(1, 2), GscError('x'),
                                 RuntimeError('a bug')]))
    def turn(self, part: float, encoding_ms: int, fault: Exception | None) -> None:
        """Send what may go, as a robot would; encoding takes time, and fails at times."""
        turn = self.sender.next_turn(self.now_ns)
        if turn is None:
            going = [name for name in self.newest if not self.paused(name)]
            assert (self.sender.next_ns is None) == (not going)
            assert self.sender.next_ns is None or self.sender.next_ns >= self.now_ns
            return
        assert not self.paused(turn.camera)
        assert turn.frame.tag == self.newest.pop(turn.camera)   # the newest picture wins
        self.turns[turn.camera] += 1    # pictures that fail do not spin either
        seconds = (self.now_ns - self.started_ns) / SECOND_NS
        assert self.turns[turn.camera] <= RATE * seconds + 2
        self.encoder.part, self.encoder.fault = part, fault
        self.send(turn, encoding_ms)

    @rule(steps=st.integers(5, 40), part=st.floats(0.5, 1.0), fails=st.booleans())
    def work(self, steps: int, part: float, fails: bool) -> None:
        """Have all cameras send, or fail, twenty times a second."""
        for _ in range(steps):
            for camera in CAMERAS:
                self.offer(camera, 200, True)
                self.turn(part, 0, GscError('x') if fails else None)
            self.wait(50)

    def send(self, turn: Turn[int], encoding_ms: int) -> None:
        """Encode and send, or count why not."""
        ceiling, overhead = self.limits()
        expected = self.expected[turn.camera]
        try:
            outgoing = self.sender.encode(turn, self.now_ns)
        except Exception as error:
            unread = isinstance(error, InvalidInputError)
            kind = ('bad_pictures' if unread else 'over_budget' if isinstance(error, BudgetError)
                    else 'errors')
            expected[kind] += 1
            return
        self.now_ns += encoding_ms * 1_000_000
        self.sender.sent(outgoing, self.now_ns)
        size = len(outgoing.data)
        assert outgoing.tag == turn.frame.tag and size <= turn.granted
        self.sequences[turn.camera].append(outgoing.packet.sequence)
        self.sent.append((self.now_ns, size + overhead))
        expected += Counter(encoded=1, bytes=size)
        in_a_second = sum(wire for time_ns, wire in self.sent if time_ns > self.now_ns - SECOND_NS)
        assert in_a_second <= ceiling

    def limits(self) -> tuple[int, int]:
        """Return the ceiling [bytes a second] and bytes of headers; the slowest link counts."""
        speeds = [limits.bytes_per_second for limits, told_ns in self.told.values()
                  if limits.bytes_per_second and self.now_ns - told_ns < 5 * SECOND_NS]
        speed, overhead = (min(SPEED, *speeds), LINK_OVERHEAD) if speeds else (SPEED, OVERHEAD)
        return max(speed, SMALLEST + overhead), overhead

    def paused(self, camera: str) -> bool:
        """Whether an operator has stopped a camera; a link that is silent for 5 s is gone."""
        limits, told_ns = self.told.get(camera, (Limits(), 0))
        return limits.control.paused and self.now_ns - told_ns < 5 * SECOND_NS

    @invariant()
    def sequence_numbers_are_consecutive(self) -> None:
        """Give a picture that failed no number: it would be counted as lost."""
        for numbers in self.sequences.values():
            assert numbers == list(range(len(numbers)))

    @invariant()
    def counters_add_up(self) -> None:
        """Every picture waits, was replaced, was sent, or failed for a reason that is counted."""
        for name in CAMERAS:
            counted = self.sender.counters(name)
            for kind in ('pictures_in', 'replaced', 'acknowledged', 'encoded', 'bytes',
                         'bad_pictures', 'over_budget', 'errors'):
                assert counted[kind] == self.expected[name][kind], kind
            assert counted['pictures_in'] == (name in self.newest) + sum(
                counted[kind] for kind in ('replaced', 'encoded', 'bad_pictures', 'over_budget',
                                           'errors'))


SenderMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
test_whatever_happens = SenderMachine.TestCase


@pytest.fixture
def encoder() -> StandInEncoder:
    return StandInEncoder()


@pytest.fixture
def sender(encoder: StandInEncoder) -> Sender[str]:
    return Sender(encoder, dict.fromkeys(CAMERAS, 1.0),  # type: ignore[arg-type]
                  sender_settings())


def run(sender: Sender[str], seconds: int, offer: Callable[[int], None]) -> list[str]:
    """Ask ten times a second; return the cameras in the order of their packets."""
    order = []
    for step in range(10 * seconds):
        now_ns = step * SECOND_NS // 10
        offer(now_ns)
        if (turn := sender.next_turn(now_ns)) is not None:
            sender.sent(sender.encode(turn, now_ns), now_ns)
            order.append(turn.camera)
    return order


def test_both_cameras_are_served(sender: Sender[str]) -> None:
    def offer(now_ns: int) -> None:
        for name in CAMERAS:
            sender.offer(name, Frame(lambda: picture(9), ''), now_ns)

    order = run(sender, 20, offer)
    assert order[:2] == ['front', 'rear']
    assert order.count('front') == pytest.approx(order.count('rear'), abs=1)


def test_an_operator_may_hold_a_camera_to_a_rate(sender: Sender[str]) -> None:
    """100 bytes a second on the wire: what went before has to be paid first."""
    def offer(now_ns: int) -> None:
        sender.offer('front', Frame(lambda: picture(9), ''), now_ns)
        sender.tell('front', Feedback(limits=Limits(Control(rate=100.0))), now_ns)

    run(sender, 60, offer)
    counters = sender.counters('front')
    assert 0.8 * 6000 <= counters['bytes'] <= 6000 + 500


def test_unknown_cameras_are_named(sender: Sender[str]) -> None:
    with pytest.raises(InvalidInputError, match='side'):
        sender.offer('side', Frame(lambda: picture(9), ''), 0)


def test_a_scene_that_stands_still_is_worth_fewer_and_larger_pictures() -> None:
    """Two a second of half a second of link each; a moving camera sends what it gives."""
    camera, rng = Camera(Counter()), np.random.default_rng(0)
    for number in range(12):
        camera.offered(number * SECOND_NS // 5)
        camera.watch(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    assert camera.wanted == (pytest.approx(5.0), None)
    for _ in range(2):
        camera.watch(picture(9))
    assert camera.wanted == (2.0, 0.5)
