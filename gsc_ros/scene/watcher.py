"""
What a camera sees in words and boxes, renewed off the camera thread. No ROS.

Detector and captioner are slow; packets carry the last known result.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import threading
from typing import TYPE_CHECKING

from gsc_ros.codec.objects import SceneObject
from gsc_ros.media.images import Picture
from gsc_ros.runtime.worker import LatestSlots, Worker
from gsc_ros.scene.change import SceneChange

if TYPE_CHECKING:
    from gsc_ros.scene.describe import Describe


@dataclass(frozen=True)
class Scene:
    """Caption and objects of one camera at one time."""

    caption: str = ''
    objects: tuple[SceneObject, ...] = ()


@dataclass(frozen=True)
class RefreshRule:
    """When to look again: see the parameters scene_period, scene_change and scene_refresh."""

    period_s: float
    change: float
    refresh_s: float


class _Looks:
    """When a camera was last looked at, and what it saw then."""

    def __init__(self) -> None:
        self._change = SceneChange()
        self._last_ns: int | None = None

    def due(self, rule: RefreshRule, picture: Picture, now_ns: int) -> bool:
        """Whether ``picture`` calls for a new look; if so it is what later ones compare with."""
        self._change.threshold = rule.change
        age_s = math.inf if self._last_ns is None else (now_ns - self._last_ns) / 1e9
        if age_s < rule.period_s:
            return False
        if age_s >= rule.refresh_s:
            self._change.reset()
        if not self._change.update(picture):
            return False
        self._last_ns = now_ns
        return True


class SceneWatcher:
    """Keeps the Scene of each camera up to date in a thread of its own."""

    def __init__(self, describe: Describe, rule: RefreshRule,
                 on_error: Callable[[Exception], None], turn: threading.Lock | None = None
                 ) -> None:
        """``describe`` runs in the thread; errors go to ``on_error``; ``turn`` as a Worker's."""
        self.rule = rule
        self._describe = describe
        self._scenes: dict[str, Scene] = {}
        self._looks: dict[str, _Looks] = {}
        self._lock = threading.Lock()
        self._slots: LatestSlots[Picture] = LatestSlots()
        self._worker = Worker('scene', self._step, on_error, turn)

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def stop(self) -> None:
        """End the thread."""
        self._worker.stop()

    def consider(self, camera: str, picture: Picture, now_ns: int) -> bool:
        """Take ``picture`` for a new look if one is due; never blocks on the models."""
        if not self._looks.setdefault(camera, _Looks()).due(self.rule, picture, now_ns):
            return False
        self._slots.put(camera, picture)
        self._worker.notify()
        return True

    def current(self, camera: str) -> Scene:
        """Return the last known scene, an empty one before the first look."""
        with self._lock:
            return self._scenes.get(camera, Scene())

    def _step(self) -> float | None:
        taken = self._slots.take_any()
        if taken is None:
            return None
        camera, picture = taken
        caption, objects = self._describe(picture)
        scene = Scene(caption, tuple(objects))
        with self._lock:
            self._scenes[camera] = scene
        return 0.0
