"""
The robot's side without ROS: which camera's picture goes next, in how many bytes, coded from what.

The encoder node, evaluation at a rate, ``gsc bag`` and the demo all send through ``Sender``. Time
is an argument: ``now_ns`` is any monotonic clock in nanoseconds.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
import threading
from typing import Any, Generic, TYPE_CHECKING, TypeVar

from gsc_ros.budget.byte_budget import BudgetSettings, ByteBudget
from gsc_ros.camera import Camera
from gsc_ros.codec.bitstream import pack, Packet
from gsc_ros.codec.errors import BudgetError, GscError, InvalidInputError
from gsc_ros.link.feedback import Feedback
from gsc_ros.media.images import shrink_to_width
from gsc_ros.runtime.worker import LatestSlots
from gsc_ros.scene.watcher import Scene, Scenes
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.encoder import SemanticEncoder

Tag = TypeVar('Tag')


@dataclass(frozen=True)
class SenderSettings:
    """
    What a robot sends, as the encoder node's parameters of the same names say it.

    ``focus`` is the smoothing of the background in pixels of the coded picture.
    """

    budget: BudgetSettings
    max_width: int
    max_objects: int
    focus: float
    seed: int
    temporal: bool

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> SenderSettings:
        """
        Take the values of the table ``ENCODER``.

        :raises InvalidInputError: for limits that contradict each other.
        """
        budget = BudgetSettings(
            values['bytes_per_second'], values['max_rate'], values['min_bytes'],
            values['max_bytes'], values['overhead_bytes'], None, values['latency'])
        return cls(budget, values['max_width'], values['max_objects'], values['focus'],
                   values['seed'], values['temporal'])


@dataclass(frozen=True)
class Frame(Generic[Tag]):
    """
    A picture of a camera: ``read`` gives (H, W, 3) uint8 RGB, ``tag`` comes back with its packet.

    It is only read when it is sent: most pictures are overtaken by newer ones.
    """

    read: Callable[[], np.ndarray]
    tag: Tag


@dataclass(frozen=True)
class Turn(Generic[Tag]):
    """The picture that goes next, in at most ``granted`` bytes."""

    camera: str
    frame: Frame[Tag]
    granted: int


@dataclass(frozen=True)
class Outgoing(Generic[Tag]):
    """A packet ready to leave; ``scene`` is what was known of the camera, more than may fit."""

    camera: str
    tag: Tag
    packet: Packet
    data: bytes
    scene: Scene


class Sender(Generic[Tag]):
    """
    Sends the newest picture of each camera whenever the budget allows one.

    ``offer`` and ``tell`` may be called from any thread, all else from one.
    """

    def __init__(self, encoder: SemanticEncoder, weights: Mapping[str, float],
                 settings: SenderSettings, scenes: Scenes | None = None,
                 counters: Mapping[str, Counter[str]] | None = None) -> None:
        """
        Take coder and cameras with their weights; without ``scenes`` packets carry no text.

        :param counters: of each camera, to go on with; new ones if None.
        :raises InvalidInputError: for a weight that is not positive, or no camera.
        """
        self._encoder, self._scenes = encoder, scenes
        self._weights, self._settings = dict(weights), settings
        self._budget = ByteBudget(weights, settings.budget)
        self._cameras = {name: Camera(counters[name] if counters else Counter())
                         for name in weights}
        self._waiting: LatestSlots[Frame[Tag]] = LatestSlots()
        self._lock = threading.Lock()   # of counters
        self.next_ns: int | None = None
        """When to ask ``next_turn`` again; None: when there is a new picture or feedback."""

    @property
    def budget(self) -> BudgetSettings:
        """The limits in force, the link's where they are lower."""
        return self._budget.settings

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras."""
        return list(self._cameras)

    def counters(self, camera: str) -> Counter[str]:
        """Return what was counted of a camera since the start."""
        return self._camera(camera).counters

    def activity(self, camera: str) -> float:
        """How much its pictures change, 1 for a slow drive."""
        return self._camera(camera).activity

    def change(self, settings: SenderSettings) -> None:
        """Take other settings from now on."""
        self._settings = settings

    def clear(self) -> None:
        """Forget pictures that wait."""
        self._waiting.clear()

    def offer(self, camera: str, frame: Frame[Tag], now_ns: int) -> None:
        """Have a picture sent that was taken now, instead of an older one that still waits."""
        state = self._camera(camera)
        state.offered(now_ns)
        counters = state.counters
        replaced = self._waiting.put(camera, frame)
        with self._lock:
            counters['pictures_in'] += 1
            counters['replaced'] += replaced

    def tell(self, camera: str, feedback: Feedback, now_ns: int) -> None:
        """Take what the link says of a camera's stream."""
        state = self._camera(camera)
        state.inbox.take(feedback, now_ns)
        with self._lock:
            state.counters['acknowledged'] += len(feedback.acknowledged)

    def next_turn(self, now_ns: int) -> Turn[Tag] | None:
        """
        Choose the picture that goes now; ``encode`` it next.

        None if none may: then ``next_ns`` says when to ask again.
        """
        self._follow_link(now_ns)
        waits = []
        for name in self._waiting.keys():   # that has waited longest first
            camera = self._cameras[name]
            hold_ns = camera.hold_ns(now_ns)
            if hold_ns is None:
                continue
            self._budget.offer(name, now_ns, camera.activity, *camera.wanted)
            granted = 0 if hold_ns else self._budget.grant(name, now_ns)
            frame = self._waiting.take(name) if granted else None
            if frame is not None:
                return Turn(name, frame, granted)
            waits.append(max(hold_ns, self._budget.wait_ns(name, now_ns)))
        self.next_ns = now_ns + min(waits) if waits else None
        return None

    def encode(self, turn: Turn[Tag], now_ns: int) -> Outgoing[Tag]:
        """
        Code the picture of a turn; ``sent`` follows, or nothing if this raises.

        :raises GscError: if the picture cannot be read, or no packet of it is that small.
        """
        camera, settings = self._cameras[turn.camera], self._settings
        # 1. the picture, and how much it has changed
        with self._given_back(turn, 'bad_pictures', now_ns):
            picture = shrink_to_width(turn.frame.read(), settings.max_width)
        with self._given_back(turn, 'errors', now_ns):
            camera.watch(picture)
            # 2. what is known of the scene
            scene = self._look(turn.camera, picture, now_ns)
            # 3. the packet
            packet = self._encoder.encode_packet(
                picture, camera.ceiling(turn.granted, settings.budget.min_bytes, now_ns),
                caption=scene.caption, objects=scene.objects[:settings.max_objects],
                sequence=camera.sequence, seed=settings.seed,
                references=camera.references(now_ns) if settings.temporal else None,
                focus=camera.focus(scene.objects, settings.focus, now_ns))
            return Outgoing(turn.camera, turn.frame.tag, packet, pack(packet), scene)

    def sent(self, outgoing: Outgoing[Tag], now_ns: int) -> None:
        """Book a packet that leaves now."""
        size = len(outgoing.data)
        self._budget.spend(outgoing.camera, size, now_ns)
        self._cameras[outgoing.camera].sent(size, now_ns)

    def _camera(self, name: str) -> Camera:
        if name not in self._cameras:
            raise InvalidInputError('camera', name, sorted(self._cameras))
        return self._cameras[name]

    def _follow_link(self, now_ns: int) -> None:
        """Share what the link carries now, as operators wish."""
        told = {name: camera.limits(now_ns) for name, camera in self._cameras.items()}
        budget = self._settings.budget
        if speeds := [limits for limits in told.values() if limits.bytes_per_second]:
            slowest = min(limits.bytes_per_second for limits in speeds)
            budget = replace(
                budget, bytes_per_second=min(budget.bytes_per_second, slowest),
                overhead_bytes=speeds[0].overhead_bytes or budget.overhead_bytes,
                fragment_bytes=speeds[0].fragment_bytes or budget.fragment_bytes)
        if budget != self._budget.settings:
            self._budget.change(budget)
        for name, limits in told.items():
            self._budget.prioritise(name, limits.control.priority or self._weights[name])

    def _look(self, camera: str, picture: np.ndarray, now_ns: int) -> Scene:
        if self._scenes is None:
            return Scene()
        self._scenes.consider(camera, picture, now_ns)
        return self._scenes.current(camera)

    @contextmanager
    def _given_back(self, turn: Turn[Tag], fault: str, now_ns: int) -> Iterator[None]:
        """Give the grant back where the block fails, and count the fault."""
        try:
            yield
        except Exception as error:
            over = isinstance(error, BudgetError)
            known = fault if isinstance(error, GscError) else 'errors'
            self._cameras[turn.camera].counters['over_budget' if over else known] += 1
            self._budget.cancel(turn.camera, now_ns)
            raise
