"""
Kernel distance of two sets of pictures.

It tells whether what a codec makes looks like pictures at all, however near each pair is.
"""
from __future__ import annotations

import base64

import numpy as np

LEAST = 50      # pictures; of fewer the estimate is mostly noise
_MOST = 2000    # evenly taken of more, as memory grows with the square


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
    chosen = np.linspace(0, len(decoded) - 1, min(len(decoded), _MOST)).round().astype(int)
    x, y = decoded[chosen], sources[chosen]
    across = _kernel(x, y)
    gaps = _kernel(x, x) + _kernel(y, y) - across - across.T
    np.fill_diagonal(gaps, 0)
    return float(gaps.sum() / (len(x) * (len(x) - 1)))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((x @ y.T + 1) ** 3)
