"""Figures that compare a decoded picture with its original."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TYPE_CHECKING, TypeVar

import cv2
from gsc_ros.codec.errors import InvalidInputError
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.codec.objects import SceneObject
    from torch import Tensor

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
    """Peak signal-to-noise ratio over all channels in dB; 100 for equal pictures."""
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


class VggMetric:
    """VGG distance of numpy pictures; works nothing out twice for the latest original."""

    def __init__(self, device: str = 'cpu') -> None:
        from gsc_ros.models.vgg import VggDistance
        import torch
        self._torch = torch
        self._device = device
        self._network = VggDistance().to(device)
        self._features: Memo[list[Tensor]] = Memo()
        self._distances: Memo[float] = Memo()

    def __call__(self, picture: np.ndarray, reference: np.ndarray) -> float:
        """Distance, 0 for equal pictures, about 0..5; not comparable with LPIPS."""
        check_pair(picture, reference)
        return self._distances.get(picture, reference, lambda: self._distance(picture, reference))

    def _distance(self, picture: np.ndarray, reference: np.ndarray) -> float:
        with self._torch.inference_mode():
            features = self._features.get(reference, reference, lambda: self._network.features(
                self._tensor(reference)))
            maps = self._network.features(self._tensor(picture))
            return float(sum((a - b).square().sum(1).mean()
                             for a, b in zip(maps, features, strict=True)))

    def _tensor(self, picture: np.ndarray) -> Tensor:
        tensor = self._torch.tensor(picture, device=self._device)
        return tensor.permute(2, 0, 1)[None].float() / 127.5 - 1


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1), 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (areas - common)


MIN_IOU = 0.5
# (class id, score, whether it is right)
Match = tuple[int, float, bool]


@dataclass(frozen=True)
class Agreement:
    """How detections on the decoded picture (``found``) agree with those on the original."""

    matched: int
    found: int
    wanted: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1; 1 where both have no detection."""
        total = self.found + self.wanted
        return 2 * self.matched / total if total else 1.0

    @property
    def invented(self) -> float:
        """Share of the decoded picture's detections that the original lacks, 0..1."""
        return 1 - self.matched / self.found if self.found else 0.0

    @property
    def lost(self) -> float:
        """Share of the original's detections that the decoded picture lacks, 0..1."""
        return 1 - self.matched / self.wanted if self.wanted else 0.0


def matches(found: Sequence[SceneObject], wanted: Sequence[SceneObject],
            min_iou: float = MIN_IOU) -> list[Match]:
    """
    Say for each found object, best score first, whether it is right.

    It is right if a wanted object of its class overlaps it by ``min_iou`` and is not taken yet
    (as PASCAL VOC counts). Leaving out low scores does not change the others.
    """
    free = list(wanted)
    result: list[Match] = []
    for item in sorted(found, key=lambda o: -o.score):
        rivals = [(box_iou(item.box, o.box), i) for i, o in enumerate(free)
                  if o.class_id == item.class_id]
        best = max(rivals, default=(0.0, -1))
        if best[0] >= min_iou:
            free.pop(best[1])
        result.append((item.class_id, item.score, best[0] >= min_iou))
    return result


def agreement(found: Sequence[SceneObject], wanted: Sequence[SceneObject],
              min_iou: float = MIN_IOU) -> Agreement:
    """
    Count the matches of all detections, whatever their score.

    :param found: detections on the decoded picture.
    :param wanted: detections on the original.
    """
    right = sum(right for _, _, right in matches(found, wanted, min_iou))
    return Agreement(right, len(found), len(wanted))
