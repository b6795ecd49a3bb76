"""Shrinking and enlarging of pictures for the standard coder, as products with band matrices."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

_LOBES = 3   # of the Lanczos window
# Outputs that one product makes: with many a matrix is mostly zeros, with few the calls cost more
# than the products. Measured from 640x480 and 1920x1080.
_SHRINK_BAND, _ENLARGE_BAND = 16, 32

# ITU-R BT.601 in full range (as in JFIF): luma weights of R, G, B; chroma is scaled to +-127.5
_KR, _KB = 0.299, 0.114
_KG = 1 - _KR - _KB
_TO_YCC = np.array([[_KR, _KG, _KB],
                    [-0.5 * _KR / (1 - _KB), -0.5 * _KG / (1 - _KB), 0.5],
                    [0.5, -0.5 * _KG / (1 - _KR), -0.5 * _KB / (1 - _KR)]], np.float32)

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < _LOBES, np.sinc(x) * np.sinc(x / _LOBES), 0.0)


@lru_cache(maxsize=64)
def _bands(size_out: int, size_in: int) -> list[tuple[slice, slice, np.ndarray]]:
    """
    Lanczos resampling of one axis: (outputs, inputs, float32 matrix) for each run of outputs.

    Both grids cover the same span; shrinking widens the kernel (antialiasing); beyond the border
    the border sample is repeated. Source: Duchon, 1979, "Lanczos filtering in one and two
    dimensions".
    """
    scale = max(1.0, size_in / size_out)
    reach = int(_LOBES * scale) + 1
    band = _SHRINK_BAND if size_out < size_in else _ENLARGE_BAND
    bands = []
    for start in range(0, size_out, band):
        stop = min(start + band, size_out)
        centres = (np.arange(start, stop) + 0.5) * size_in / size_out - 0.5
        places = np.floor(centres)[:, None].astype(np.int64) + np.arange(-reach, reach + 1)
        weights = _lanczos((places - centres[:, None]) / scale)
        weights /= weights.sum(1, keepdims=True)
        places = np.clip(places, 0, size_in - 1)
        first, last = int(places.min()), int(places.max())
        matrix = np.zeros((stop - start, last + 1 - first), np.float32)
        np.add.at(matrix, (np.arange(stop - start)[:, None], places - first), weights)
        bands.append((slice(start, stop), slice(first, last + 1), matrix))
    return bands


def resample(planes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample float32 planes (n, H, W) to (n, height, width)."""
    if planes.shape[1:] == (height, width):
        return planes
    rows = np.empty((len(planes), height, planes.shape[2]), np.float32)
    for outputs, inputs, matrix in _bands(height, planes.shape[1]):
        np.matmul(matrix, planes[:, inputs], out=rows[:, outputs])
    result = np.empty((len(planes), height, width), np.float32)
    for outputs, inputs, matrix in _bands(width, planes.shape[2]):
        result[..., outputs] = np.matmul(rows[..., inputs], matrix.T)
    return result


def _to_bytes(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def shrink(picture: np.ndarray, width: int, height: int) -> Planes:
    """
    Picture (H, W, 3) uint8 RGB as 4:2:0 planes of an even size ``width`` x ``height``.

    Returns luma uint8 (height, width) and both chroma planes (height / 2, width / 2), full range,
    chroma samples in the middle of four luma samples.
    """
    rgb = picture.transpose(2, 0, 1).astype(np.float32, order='C')
    small = np.clip(resample(rgb, width, height), 0, 255)
    luma, blue, red = np.tensordot(_TO_YCC, small, 1)
    chroma = resample(np.stack([blue, red]), width // 2, height // 2) + 128
    return _to_bytes(luma), _to_bytes(chroma[0]), _to_bytes(chroma[1])


def enlarge(planes: Planes, width: int, height: int) -> np.ndarray:
    """Picture uint8 (height, width, 3) RGB from 4:2:0 planes as ``shrink`` makes them."""
    (luma,) = resample(planes[0][None].astype(np.float32), width, height)
    chroma = np.stack(planes[1:]).astype(np.float32) - 128
    blue, red = resample(chroma, width, height)
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = _to_bytes(luma + 2 * (1 - _KR) * red)
    picture[..., 1] = _to_bytes(luma - (2 * _KB * (1 - _KB) * blue
                                        + 2 * _KR * (1 - _KR) * red) / _KG)
    picture[..., 2] = _to_bytes(luma + 2 * (1 - _KB) * blue)
    return picture
