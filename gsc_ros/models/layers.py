"""Building blocks that the networks share."""
from __future__ import annotations

import torch
from torch import nn, Tensor


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a residual; starts as the identity. (B, C, H, W) -> same."""

    def __init__(self, channels: int, condition: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]
        self.norm = nn.GroupNorm(8, channels)
        self.modulate = nn.Linear(condition, 2 * channels) if condition else None
        if self.modulate is not None:
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply the block; ``condition`` (B, D) scales and shifts the features (FiLM)."""
        y = self.conv1(torch.nn.functional.silu(self.norm(x)))
        if self.modulate is not None and condition is not None:
            scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return x + self.conv2(torch.nn.functional.silu(y))


def res_blocks(channels: int, count: int) -> nn.Sequential:
    """``count`` unconditional residual blocks in a row."""
    return nn.Sequential(*(ResBlock(channels) for _ in range(count)))


def upsample(channels: int, out: int, factor: int = 2) -> nn.Sequential:
    """Convolution and pixel shuffle: (B, channels, H, W) -> (B, out, factor H, factor W)."""
    conv = nn.Conv2d(channels, out * factor ** 2, 3, padding=1)
    # All sub-pixels of a channel start alike: no checkerboard to unlearn (ICNR).
    conv.weight.data = conv.weight.data[::factor ** 2].repeat_interleave(factor ** 2, 0)
    return nn.Sequential(conv, nn.PixelShuffle(factor))
