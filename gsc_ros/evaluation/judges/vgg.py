"""VGG distance of numpy pictures: the distance that the shipped weights were trained on."""
from __future__ import annotations

from typing import TYPE_CHECKING

from gsc_ros.evaluation.judges.kind import JudgeKind, Measure
from gsc_ros.evaluation.judges.metrics import check_pair, Memo
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def check() -> None:
    """
    See to it that the weights are there.

    :raises MissingDependencyError: otherwise.
    """
    from gsc_ros.models.vgg import find_weights
    find_weights()


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
        """Distance of two (H, W, 3) uint8: 0 for equal ones, about 0..5; unlike LPIPS in scale."""
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


def load(device: str, threads: int) -> Measure:
    """
    Make the measure.

    :raises MissingDependencyError: as ``check``.
    """
    return VggMetric(device)


KIND = JudgeKind('vgg', 'VGG distance', -1, 3, load, check, trained_on=True, headline=1,
            note="on HED's VGG16, this is not LPIPS; our generator was trained on it")
