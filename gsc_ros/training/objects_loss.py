"""What a detector loses and invents in a picture, as a loss that can be trained on."""
from __future__ import annotations

from pathlib import Path

from gsc_ros.codec.errors import CheckpointError, MissingDependencyError
from gsc_ros.models.torchvision_shim import import_torchvision
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F

_CELL = 32              # the coarsest stride: sides that a detector sees are multiples of it
_ENLARGED = (1.0, 1.6)  # pictures are seen at a random size, so that no one size is played to


class ObjectLoss(nn.Module):
    """
    Divergence of a YOLOX detector's scores on two pictures, for every class at every cell.

    The detector is a frozen judge; results should be measured with another.

    :param file: ONNX with outputs of (x, y, w, h, objectness, classes) per stride as YOLOX has.
    :raises MissingDependencyError: if onnx2torch is not installed.
    :raises CheckpointError: if the file is not there or of another layout.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.detector = _load(file)

    def forward(self, made: Tensor, real: Tensor, scale: float = 1.0) -> Tensor:
        """
        Divergence of each picture (B, 3, H, W) in -1..1 from its reference, (B,): 0 for equal.

        The sum over classes and cells of all strides, per cell of the finest.

        :param scale: how much larger both are shown to the detector.
        """
        size = [max(1, round(side * scale / _CELL)) * _CELL for side in made.shape[2:]]
        # logarithms of scores near 0 and 1 need float32
        with torch.autocast(made.device.type, enabled=False):
            with torch.no_grad():
                targets = self._scores(real.float(), size)
            scores = self._scores(made.float(), size)
            total = torch.stack([
                (_cross_entropy(score, target) - _cross_entropy(target, target)).sum((1, 2, 3))
                for score, target in zip(scores, targets, strict=True)]).sum(0)
        return total / scores[0][0, 0].numel()

    @staticmethod
    def draw_scale(rng: np.random.Generator) -> float:
        """Draw a size to show pictures at."""
        return float(rng.uniform(*_ENLARGED))

    def _scores(self, rgb: Tensor, size: list[int]) -> list[Tensor]:
        """Score of every class at every cell of the strides 8, 16 and 32, (B, classes, h, w)."""
        shown = F.interpolate(rgb, size, mode='bilinear', align_corners=False)
        outputs = self.detector((shown.flip(1) + 1) * 127.5)    # BGR in 0..255
        # where an object is lost its score is far below what would be a usual bound
        return [(out[:, 4:5] * out[:, 5:]).clamp(1e-12, 1 - 1e-6) for out in outputs]


def _cross_entropy(score: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy(score, target, reduction='none')


def _load(file: Path) -> nn.Module:
    """Read the network up to the maps of each stride: what follows is made for one size."""
    try:
        import_torchvision()    # onnx2torch wants it
        import onnx
        import onnx.utils
        from onnx2torch import convert
    except ImportError as error:
        raise MissingDependencyError('onnx2torch', 'pip install onnx onnx2torch torchvision'
                                     ) from error
    if not file.is_file():
        raise CheckpointError(file, 'there is no such file')
    try:
        whole = onnx.load(file)
        maps = [node.input[0] for node in whole.graph.node if node.op_type == 'Reshape']
        names = [each.name for each in whole.graph.input]
        network = convert(onnx.utils.Extractor(whole).extract_model(names, maps))
    except Exception as error:      # onnx and onnx2torch share no public base class of theirs
        raise CheckpointError(file, str(error)) from error
    if len(maps) != 3:
        raise CheckpointError(file, f'{len(maps)} output maps, not the three of YOLOX')
    return network.eval().requires_grad_(False)
