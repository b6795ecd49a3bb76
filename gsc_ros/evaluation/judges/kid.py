"""
Kernel distance of two sets of pictures.

It compares the sets as a whole: whether decoded pictures look like camera pictures at all,
however near each is to its source.
"""
from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

LEAST = 50      # pictures; of fewer the estimate is mostly noise
_MOST = 2000    # memory grows with the square

Item = TypeVar('Item')


def thinned(items: Sequence[Item]) -> list[Item]:
    """Take an even sample, so many that ``kernel_distance`` stays affordable."""
    chosen = np.linspace(0, len(items) - 1, min(len(items), _MOST)).round().astype(int)
    return [items[place] for place in chosen]


def pack_features(features: np.ndarray) -> str:
    """Features (d,) as text for a row, in half precision."""
    return base64.b64encode(features.astype('<f2').tobytes()).decode()


def unpack_features(text: str) -> np.ndarray:
    """Read what ``pack_features`` wrote, (d,) float64."""
    return np.frombuffer(base64.b64decode(text), '<f2').astype(np.float64)


def kernel_distance(decoded: np.ndarray, sources: np.ndarray) -> float:
    """
    Squared maximum mean discrepancy, about 0 (or just below) where the sets are alike.

    The kernel (x.y + 1)^3 is that of KID (Bińkowski et al., 2018) for features scaled to length
    one rather than one per dimension. The estimate is unbiased for pairs as well: a picture is
    never compared with its own original (Gretton et al., 2012, lemma 6).

    :param decoded: features (n, d), row i made from picture i; n at least 2.
    :param sources: features (n, d) of the originals.
    """
    across = _kernel(decoded, sources)
    gaps = _kernel(decoded, decoded) + _kernel(sources, sources) - across - across.T
    np.fill_diagonal(gaps, 0)
    return float(gaps.sum() / (len(gaps) * (len(gaps) - 1)))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((x @ y.T + 1) ** 3)
