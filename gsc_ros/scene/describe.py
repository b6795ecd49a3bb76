"""Caption and objects of a picture: detector and captioner joined."""
from __future__ import annotations

from collections.abc import Callable

from gsc_ros.codec.objects import SceneObject
from gsc_ros.scene.captioner import load_captioner, SCENE
from gsc_ros.scene.detector import DEFAULT_CONFIDENCE, DEFAULT_SOURCE, load_detector
import numpy as np

Describe = Callable[[np.ndarray], tuple[str, list[SceneObject]]]
NONE, AUTO = 'none', 'auto'


def load_describe(detector: str = AUTO, captioner: str = SCENE, device: str = 'cpu',
                  confidence: float = DEFAULT_CONFIDENCE) -> Describe:
    """
    Load detector and captioner; the result maps a picture to caption and objects.

    :param detector: ``none``, ``auto`` (the default detector), or what ``load_detector`` takes.
    :param captioner: ``none``, or what ``load_captioner`` takes.
    :param confidence: objects with a lower score are dropped, 0..1.
    :raises CheckpointError: if a model cannot be loaded.
    :raises MissingDependencyError: if the captioner's package is not installed.
    """
    find = tell = None
    if detector != NONE:
        source = DEFAULT_SOURCE if detector == AUTO else detector
        find = load_detector(source, device, confidence).detect
    if captioner != NONE:
        tell = load_captioner(captioner, device).describe

    def describe(picture: np.ndarray) -> tuple[str, list[SceneObject]]:
        objects = find(picture) if find else []
        return tell(picture, objects) if tell else '', objects

    return describe
