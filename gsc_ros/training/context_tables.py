"""
Makes ``codec/context_tables.npz``, the integer frequencies of the learned coder's residuals.

Run once per packet version: the file, not this script, is what both ends share.
"""
from __future__ import annotations

from math import erf, sqrt
from pathlib import Path

from gsc_ros.codec import context
from gsc_ros.codec.entropy import TOTAL
import numpy as np


def make_tables() -> np.ndarray:
    """Compute uint32 (scale levels x mean offsets, 61) rows that sum to 2**16."""
    edges = np.arange(-context.REACH - 0.5, context.REACH + 1)
    rows = []
    for level in range(context.SCALE_LEVELS):
        for offset in range(context.MEAN_STEPS):
            mean = offset / context.MEAN_STEPS - 0.5
            width = float(context.scale_of_level(level)) * sqrt(2)
            cumulative = np.array([0.5 * (1 + erf((e - mean) / width)) for e in edges])
            rows.append(_to_frequencies(np.diff(cumulative)))
    return np.array(rows, np.uint32)


def _to_frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Round to integers of at least 1 that sum to 2**16; the largest takes the remainder."""
    share = probabilities / probabilities.sum()
    frequencies = np.maximum(1, np.rint(share * (TOTAL - len(share))).astype(np.int64))
    frequencies[np.argmax(frequencies)] += TOTAL - frequencies.sum()
    return frequencies


if __name__ == '__main__':
    np.savez_compressed(Path(context.__file__).parent / 'context_tables.npz',
                        frequencies=make_tables())
