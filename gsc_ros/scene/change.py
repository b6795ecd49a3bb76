"""Tells when a camera sees another scene, so that a caption is made anew only then."""
from __future__ import annotations

import cv2
import numpy as np

# Measured: a static camera stays below 8 with things moving through, a drive at one picture a
# second has a median of 28, unlike photos differ by 32 or more in 95 % of pairs.
DEFAULT_THRESHOLD = 12.0
_THUMBNAIL = (16, 12)    # width, height
_SAMPLES = (64, 48)


class SceneChange:
    """
    Compares pictures with the last one that was described.

    The measure is the mean change of a cell of a 16x12 grey thumbnail, in grey levels; what
    changes all cells alike (exposure) does not count. ``threshold`` may be set at any time.
    """

    def __init__(self, threshold: float = DEFAULT_THRESHOLD) -> None:
        """Set the change, 0..255 grey levels, above which the scene counts as another."""
        self.threshold = threshold
        self._described: np.ndarray | None = None

    def update(self, picture: np.ndarray) -> bool:
        """
        Say whether a uint8 picture (H, W, 3) or (H, W) needs a new caption.

        True means that the caller describes this picture now: it is what later ones are compared
        with. The first picture always counts.
        """
        thumbnail = make_thumbnail(picture)
        if self._described is not None and (
                scene_distance(self._described, thumbnail) <= self.threshold):
            return False
        self._described = thumbnail
        return True

    def reset(self) -> None:
        """Forget the described picture: the next one counts as changed."""
        self._described = None


def scene_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of two thumbnails (12, 16) float32 less their common shift."""
    change = second - first
    return float(np.abs(change - np.median(change)).mean())


def make_thumbnail(picture: np.ndarray) -> np.ndarray:
    """Grey float32 (12, 16) of a uint8 picture (H, W, 3) or (H, W) of any size."""
    # Sixteen samples a cell do: averaging every pixel of a large picture would take longer.
    sparse = cv2.resize(picture, _SAMPLES, interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(sparse, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else small.mean(axis=2)
    return np.asarray(grey, np.float32)
