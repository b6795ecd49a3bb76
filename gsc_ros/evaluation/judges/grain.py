"""
Grain in the flat areas of the original: how strong it is, and whether it is a pattern.

A made picture may be as grainy as a camera's and should not be woven: distances of deep features
forgive, or even reward, a pattern that every eye sees.
"""
from __future__ import annotations

import cv2
from gsc_ros.evaluation.judges.kind import JudgeKind, ready
from gsc_ros.evaluation.judges.metrics import check_pair
import numpy as np

LAGS = range(2, 17)             # pixels; 1 is what any smooth picture has
_WINDOW = 9                     # side of the area that must be flat [pixels]
_FLAT = 3.0                     # most standard deviation in it [grey levels]
_LEAST = 2000                   # pixels that a figure needs
_BINOMIAL = np.array((1, 4, 6, 4, 1), np.float32) / 16
_NOT_THERE = float('nan')


def high_pass(picture: np.ndarray) -> np.ndarray:
    """Grey levels of (H, W, 3) uint8 minus their binomial blur of five pixels, float32 (H, W)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(grey - cv2.sepFilter2D(grey, cv2.CV_32F, _BINOMIAL, _BINOMIAL))


def flat_areas(original: np.ndarray) -> np.ndarray:
    """Where (H, W, 3) uint8 hardly changes in a window of nine pixels, bool (H, W)."""
    grey = cv2.cvtColor(original, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (_WINDOW, _WINDOW))
    # of the differences: the squares themselves are too large for float32
    near = cv2.blur(np.square(grey - mean), (_WINDOW, _WINDOW))
    return np.asarray(near < _FLAT ** 2)


def strength(picture: np.ndarray, original: np.ndarray) -> float:
    """
    RMS of the high pass in the flat areas [grey levels]; NaN with too few of them.

    Of a decoded picture; both are (H, W, 3) uint8, as below.
    """
    check_pair(picture, original)
    flat = flat_areas(original)
    if flat.sum() < _LEAST:
        return _NOT_THERE
    return float(np.sqrt(np.square(high_pass(picture)[flat]).mean()))


def excess(picture: np.ndarray, original: np.ndarray) -> float:
    """Strength above the original's, 0 if below [grey levels]; NaN with too few flat areas."""
    return float(np.maximum(strength(picture, original) - strength(original, original), 0.0))


def repetition(picture: np.ndarray, original: np.ndarray) -> float:
    """
    Greatest autocorrelation of the grain at the lags 2 to 16, across or down.

    About 0 for noise, 1 for a pattern that repeats; NaN with too few flat areas.
    """
    check_pair(picture, original)
    flat, grain = flat_areas(original), high_pass(picture)
    if flat.sum() < _LEAST:
        return _NOT_THERE
    return max(_correlation(*pair, lag) for lag in LAGS
               for pair in ((grain, flat), (grain.T, flat.T)))


def _correlation(grain: np.ndarray, flat: np.ndarray, lag: int) -> float:
    """Correlation of pixels that are ``lag`` apart along a row, both flat."""
    both = flat[:, lag:] & flat[:, :-lag]
    a, b = grain[:, lag:][both], grain[:, :-lag][both]
    energy = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / energy if energy else 0.0


STRENGTH = JudgeKind('grain', 'grain', -1, 2, ready(strength), curve=False,
                note='RMS of the high pass where the original is flat, in grey levels; good is '
                     "what the original has, see the source's row")
EXCESS = JudgeKind('grain_excess', 'excess grain', -1, 2, ready(excess), curve=False,
              note="the same above the original's")
REPETITION = JudgeKind('grain_pattern', 'pattern', -1, 2, ready(repetition), curve=False,
                  note='greatest autocorrelation of that grain 2 to 16 pixels apart')
