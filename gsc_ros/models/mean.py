"""
The mean predictor M: a small network from the coded picture to the picture at four times its size.

Its form is SRVGGNetCompact's (Wang et al., "Real-ESRGAN", 2021; x4, 64 channels), a chain of 3x3
convolutions at coded size, where a pixel is cheap.
"""
from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from torch import nn, Tensor
from torch.nn import functional as F

SCALE = 4
# No response at periods of four pixels and of two: what differs from one pixel of a block of 4 x 4
# to the next in all blocks alike is left out. At the coded picture's finest detail it lets 0.6
# through, which the network can make up for.
_ANTIALIAS = (1 / 8, 2 / 8, 2 / 8, 2 / 8, 1 / 8)


@dataclass(frozen=True)
class MeanConfig:
    """Sizes of the network; stored in its checkpoint."""

    channels: int = 64
    convolutions: int = 16      # between the first and the last


class MeanPredictor(nn.Module):
    """
    Small picture and its rate in, picture of four times the size out.

    What the chain of convolutions makes is added to a plain enlargement, itself a learnt 3x3
    convolution that begins as the nearest neighbour. Both become blocks of 4 x 4 pixels; a filter
    then takes the pitch of the blocks away, without which the losses on features weave patterns.
    """

    antialias: Tensor

    def __init__(self, config: MeanConfig = MeanConfig()) -> None:
        super().__init__()
        self.config = config
        width, out = config.channels, 3 * SCALE ** 2
        self.base = nn.Conv2d(3, out, 3, padding=1, bias=False, padding_mode='replicate')
        self.base.weight.data = _nearest()
        self.entry = nn.Conv2d(3, width, 3, padding=1)
        self.facts = nn.Linear(2, width)
        nn.init.zeros_(self.facts.weight)
        nn.init.zeros_(self.facts.bias)
        self.bends = nn.ModuleList(nn.PReLU(width) for _ in range(config.convolutions + 1))
        self.chain = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1)
                                   for _ in range(config.convolutions))
        self.exit = nn.Conv2d(width, out, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]
        kernel = torch.tensor(_ANTIALIAS).repeat(3, 1, 1, 1)
        self.register_buffer('antialias', kernel, persistent=False)

    def forward(self, small: Tensor, facts: Tensor) -> Tensor:
        """
        Predict pictures (B, 3, 4h, 4w) from coded ones (B, 3, h, w), both RGB in 0..1, unclipped.

        :param facts: (B, 2) float32 as ``coding_facts`` gives them.
        """
        x = self.entry(small) + self.facts(facts)[:, :, None, None]
        x = self.bends[0](x)
        for convolution, bend in zip(self.chain, list(self.bends)[1:], strict=True):
            x = bend(convolution(x))
        made = F.pixel_shuffle(self.exit(x) + self.base(small), SCALE)
        made = F.conv2d(F.pad(made, (2, 2, 2, 2), mode='replicate'), self.antialias, groups=3)
        return F.conv2d(made, self.antialias.transpose(2, 3), groups=3)


def coding_facts(bits: float, coded_pixels: int, pixels: int) -> tuple[float, float]:
    """
    Say how coarsely a picture was coded and how far it was shrunk, each about -1..1.

    :param bits: of the latent.
    :param coded_pixels: of the coded picture.
    :param pixels: of the source.
    """
    coarseness = log2(max(bits, 1.0) / coded_pixels) + 3    # 0 at an eighth of a bit
    shrinking = log2(pixels / coded_pixels) / 2 - 1         # 0 at half the size
    return coarseness, shrinking


def to_size(picture: Tensor, height: int, width: int) -> Tensor:
    """Resample (B, 3, H, W) with antialiasing, so that no pitch of the network's is left."""
    return F.interpolate(picture, (height, width), mode='bicubic', antialias=True,
                         align_corners=False)


def _nearest() -> Tensor:
    """Weights (48, 3, 3, 3) that repeat each pixel over the block that it becomes."""
    weight = torch.zeros(3 * SCALE ** 2, 3, 3, 3)
    for out in range(len(weight)):
        weight[out, out // SCALE ** 2, 1, 1] = 1
    return weight
