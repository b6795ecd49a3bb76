"""Figures that compare a decoded picture with its original."""
from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.judges.kind import JudgeKind, ready
import numpy as np

# Five scales of an 11-pixel window: anything smaller has no fifth scale.
MS_SSIM_MIN_SIDE = 161
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_RADIUS = 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def check_pair(picture: np.ndarray, reference: np.ndarray) -> None:
    """
    Both must be uint8 (H, W, 3) of one size.

    :raises InvalidInputError: otherwise.
    """
    if picture.shape != reference.shape or reference.ndim != 3 or reference.shape[2] != 3:
        raise InvalidInputError('shape', picture.shape, f'(H, W, 3) as the original '
                                                        f'{reference.shape}')
    if picture.dtype != np.uint8 or reference.dtype != np.uint8:
        raise InvalidInputError('dtype', f'{picture.dtype} and {reference.dtype}', 'uint8')


def psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two (H, W, 3) uint8 in dB; 100 for equal pictures."""
    check_pair(picture, reference)
    error = np.square(picture.astype(np.float32) - reference.astype(np.float32)).mean()
    return 100.0 if error == 0 else float(10 * np.log10(255.0 ** 2 / error))


def ms_ssim(picture: np.ndarray, reference: np.ndarray) -> float:
    """
    Multi-scale structural similarity (Wang et al., 2003), 0..1, 1 for equal pictures.

    Gaussian window of 11 pixels and sigma 1.5, valid part only, mean over RGB, in float32. An odd
    last row or column is left out before a scale is halved.

    :raises InvalidInputError: if a side is below ``MS_SSIM_MIN_SIDE`` pixels.
    """
    check_pair(picture, reference)
    if min(picture.shape[:2]) < MS_SSIM_MIN_SIDE:
        raise InvalidInputError('picture side', min(picture.shape[:2]),
                                f'at least {MS_SSIM_MIN_SIDE}')
    x, y = picture.astype(np.float32), reference.astype(np.float32)
    product = np.ones(3)
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            x, y = _halve(x), _halve(y)
        similarity, contrast = _ssim(x, y)
        last = scale == len(_SCALE_WEIGHTS) - 1
        product *= np.maximum(similarity if last else contrast, 0) ** weight
    return float(product.mean())


def _ssim(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the whole index and of its contrast-structure part, (3,) each."""
    mean_x, mean_y = _window(x), _window(y)
    variance_x = _window(x * x) - mean_x * mean_x
    variance_y = _window(y * y) - mean_y * mean_y
    covariance = _window(x * y) - mean_x * mean_y
    contrast = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return (luminance * contrast).mean((0, 1)), contrast.mean((0, 1))


def _window(x: np.ndarray) -> np.ndarray:
    kernel = cv2.getGaussianKernel(2 * _RADIUS + 1, 1.5, cv2.CV_32F)
    return cv2.sepFilter2D(x, cv2.CV_32F, kernel, kernel)[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _halve(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    return cv2.resize(x[:2 * height, :2 * width], (width, height), interpolation=cv2.INTER_AREA)


def _ms_ssim_or_nothing(picture: np.ndarray, reference: np.ndarray) -> float:
    small = min(reference.shape[:2]) < MS_SSIM_MIN_SIDE
    return float('nan') if small else ms_ssim(picture, reference)


PSNR = JudgeKind('psnr', 'PSNR', 1, 2, ready(psnr), note='dB', headline=6)
MS_SSIM = JudgeKind('ms_ssim', 'MS-SSIM', 1, 3, ready(_ms_ssim_or_nothing), headline=5)


Result = TypeVar('Result')


class Memo(Generic[Result]):
    """Remembers what was worked out for pictures (by identity) of the latest original."""

    def __init__(self) -> None:
        self._original: np.ndarray | None = None
        self._known: list[tuple[np.ndarray, Result]] = []

    def get(self, picture: np.ndarray, original: np.ndarray, compute: Callable[[], Result]
            ) -> Result:
        """Return the known result for this very array, else that of ``compute``."""
        if self._original is not original:
            self._original, self._known = original, []
        for known, result in self._known:
            if known is picture:
                return result
        self._known.append((picture, compute()))
        return self._known[-1][1]
