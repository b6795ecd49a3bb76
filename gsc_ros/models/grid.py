"""
Takes out the grid that a decoder leaves: a faint pattern that repeats with its blocks.

Feature losses reward such patterns (Odena et al., "Deconvolution and Checkerboard Artifacts",
2016, shows where they come from); the eye does not.
"""
from __future__ import annotations

import cv2
import numpy as np

_REACH = 2.0    # deviation of the mean that a pattern is found by [blocks]


def without_grid(made: np.ndarray, plain: np.ndarray, block: int) -> np.ndarray:
    """
    Return ``made`` without what repeats from block to block of ``block`` x ``block`` pixels.

    Each place within the blocks has its own smooth mean of what was added to ``plain``; by how
    much these differ from their common mean is the pattern.

    :param made: uint8 (H, W, C), as ``plain``, which has no such pattern.
    """
    height, width, channels = made.shape
    added = made.astype(np.float32) - plain
    padded = np.pad(added, ((0, -height % block), (0, -width % block), (0, 0)), mode='symmetric')
    rows, columns = (side // block for side in padded.shape[:2])
    places = padded.reshape(rows, block, columns, block, channels).transpose(0, 2, 1, 3, 4)
    means = cv2.GaussianBlur(places.reshape(rows, columns, -1), (0, 0), _REACH)
    means = means.reshape(rows, columns, block, block, channels)
    means = means - means.mean(axis=(2, 3), keepdims=True)
    pattern = means.transpose(0, 2, 1, 3, 4).reshape(padded.shape)[:height, :width]
    return np.clip(np.rint(made - pattern), 0, 255).astype(np.uint8)
