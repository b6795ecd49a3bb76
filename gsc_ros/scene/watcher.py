"""
Caption and objects of each camera, renewed when its scene has changed.

Detector and captioner are slow; packets carry the last known result.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import math
import threading
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.objects import SceneObject
from gsc_ros.runtime.worker import LatestSlots, Worker
from gsc_ros.scene.change import SceneChange
from gsc_ros.units import SECOND_NS
import numpy as np

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

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> RefreshRule:
        """Take the values of the table ``ENCODER``."""
        return cls(values['scene_period'], values['scene_change'], values['scene_refresh'])


class _Looks:
    """When a camera was last described, and as what."""

    def __init__(self) -> None:
        self._change = SceneChange()
        self._last_ns: int | None = None

    def due(self, rule: RefreshRule, picture: np.ndarray, now_ns: int) -> bool:
        """Whether ``picture`` calls for a new look; if so it is what later ones compare with."""
        self._change.threshold = rule.change
        age_s = math.inf if self._last_ns is None else (now_ns - self._last_ns) / SECOND_NS
        if age_s < rule.period_s:
            return False
        if age_s >= rule.refresh_s:
            self._change.reset()
        if not self._change.update(picture):
            return False
        self._last_ns = now_ns
        return True


class Scenes:
    """
    The last known scene of each camera.

    ``consider`` only notes which pictures call for a new look; ``look`` takes one.
    """

    def __init__(self, describe: Describe, rule: RefreshRule) -> None:
        self.rule = rule
        self._describe = describe
        self._scenes: dict[str, Scene] = {}
        self._looks: dict[str, _Looks] = {}
        self._lock = threading.Lock()
        self._waiting: LatestSlots[np.ndarray] = LatestSlots()

    def consider(self, camera: str, picture: np.ndarray, now_ns: int) -> bool:
        """Take a picture (H, W, 3) uint8 for a new look if one is due; true if it is."""
        due = self._looks.setdefault(camera, _Looks()).due(self.rule, picture, now_ns)
        if due:
            self._waiting.put(camera, picture)
        return due

    def current(self, camera: str) -> Scene:
        """Return the last known scene, an empty one before the first look."""
        with self._lock:
            return self._scenes.get(camera, Scene())

    def look(self) -> bool:
        """Describe the picture that has waited longest; false if none waits."""
        taken = self._waiting.take_any()
        if taken is None:
            return False
        camera, picture = taken
        caption, objects = self._describe(picture)
        with self._lock:
            self._scenes[camera] = Scene(caption, tuple(objects))
        return True


class SceneWatcher(Scenes):
    """Describes scenes in a thread of its own, so that encoding never waits for it."""

    def __init__(self, describe: Describe, rule: RefreshRule,
                 on_error: Callable[[Exception], None], turn: threading.Lock | None = None
                 ) -> None:
        """``describe`` runs in the thread; errors go to ``on_error``; ``turn`` as a Worker's."""
        super().__init__(describe, rule)
        self._worker = Worker('scene', lambda: 0.0 if self.look() else None, on_error, turn)

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def stop(self) -> None:
        """End the thread."""
        self._worker.stop()

    def consider(self, camera: str, picture: np.ndarray, now_ns: int) -> bool:
        """Have a picture (H, W, 3) uint8 described if that is due; never waits for the models."""
        due = super().consider(camera, picture, now_ns)
        if due:
            self._worker.notify()
        return due
