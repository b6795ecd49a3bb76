"""
The tiny autoencoder of FLUX.2's latent space ("taef2", MIT), read from its two weight files.

A real stock latent space that fits a CPU: what can be said of stock priors without their weights
is measured in it. The layout follows the names and shapes in the files; diffusers' AutoencoderTiny
lacks the normalised branch that some of the blocks have.
"""
from __future__ import annotations

from pathlib import Path

import torch
from torch import nn, Tensor

_WIDTH = 64
_GROUPS = 4
LATENT_CHANNELS = 32
FILES = ('taef2_encoder.pth', 'taef2_decoder.pth')


class _Block(nn.Module):
    """Three convolutions and a skip; before them, where ``normed``, a group-normed 1x1 branch."""

    def __init__(self, normed: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        wide = 4 * _WIDTH
        self.pool = nn.Sequential(
            nn.Conv2d(_WIDTH, wide, 1, bias=False), nn.GroupNorm(_GROUPS, wide), nn.ReLU(),
            nn.Conv2d(wide, _WIDTH, 1, bias=False)) if normed else None

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Soft limit at 3."""
        return torch.tanh(x / 3) * 3


def _conv(n_in: int = _WIDTH, n_out: int = _WIDTH, stride: int = 1, bias: bool = True
          ) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride, 1, bias=bias)


def _blocks(count: int, normed: bool = False) -> list[nn.Module]:
    return [_Block(normed) for _ in range(count)]


class Taef2(nn.Module):
    """Pictures (B, 3, H, W) in -1..1, sides multiples of 8, to latents (B, 32, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        down = [_conv(stride=2, bias=False) for _ in range(3)]
        self.encoder = nn.Sequential(
            _conv(3), *_blocks(1), down[0], *_blocks(3), down[1], *_blocks(3),
            down[2], *_blocks(3, normed=True), _conv(_WIDTH, LATENT_CHANNELS))
        up: list[nn.Module] = [_Clamp(), _conv(LATENT_CHANNELS), nn.ReLU()]
        for normed in (True, False, False):
            up += [*_blocks(3, normed), nn.Upsample(scale_factor=2), _conv(bias=False)]
        self.decoder = nn.Sequential(*up, *_blocks(1), _conv(_WIDTH, 3))

    @classmethod
    def load(cls, folder: Path) -> Taef2:
        """Read both files of ``FILES``, float32, in eval mode, without gradients."""
        model = cls()
        for part, name in zip((model.encoder, model.decoder), FILES, strict=True):
            part.load_state_dict(torch.load(folder / name, map_location='cpu'))
        return model.float().eval().requires_grad_(False)

    def encode(self, rgb: Tensor) -> Tensor:
        """Latents of pictures."""
        return self.encoder((rgb + 1) / 2)

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures of latents, about -1..1."""
        return self.decoder(latent) * 2 - 1
