"""Temporal flicker: what changes on the screen where nothing changes before the camera."""
from __future__ import annotations

import cv2
import numpy as np

# Grey levels by which blurred camera pictures may differ where the scene stands still.
_STILL = 3.0
_BLUR = 7          # pixels, against sensor noise
_LEAST_SHARE = 0.01


def still_mask(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two camera pictures (H, W, 3) uint8 show the same; bool (H, W)."""
    change = cv2.absdiff(cv2.blur(first, (_BLUR, _BLUR)), cv2.blur(second, (_BLUR, _BLUR)))
    return np.asarray(change.max(2) <= _STILL)


def flicker(shown: tuple[np.ndarray, np.ndarray], still: np.ndarray) -> float | None:
    """
    Mean absolute change of a pixel in grey levels where ``still`` is set.

    :param shown: what the operator sees at two consecutive instants, (H, W, 3) uint8.
    :return: None where less than a hundredth of the picture stands still.
    """
    if still.mean() < _LEAST_SHARE:
        return None
    return float(cv2.absdiff(*shown)[still].mean())
