"""
Two ways to make a picture worse that a sound judge must not prefer.

Enlarging without interpolation and adding grey grain make a picture worse to look at. A judge that
prefers one of them to the plain picture can be gamed, and its verdict is marked.
"""
from __future__ import annotations

import cv2
import numpy as np

GRAIN_SIGMA = 3.0       # grey levels


def nearest(small: np.ndarray, width: int, height: int) -> np.ndarray:
    """Enlarge a coded picture (h, w, 3) uint8 by repeating pixels, to (height, width, 3)."""
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))


def grainy(plain: np.ndarray, seed: int = 0, sigma: float = GRAIN_SIGMA) -> np.ndarray:
    """Add white grain, the same to all three channels, to (H, W, 3) uint8."""
    grain = np.random.default_rng(seed).normal(0, sigma, plain.shape[:2])[..., None]
    return np.asarray(np.clip(np.rint(plain + grain), 0, 255).astype(np.uint8))
