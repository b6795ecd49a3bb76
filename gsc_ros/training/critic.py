"""An adversary on VGG features: tells made pictures from real ones, and is to be fooled."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn, Tensor
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

FEATURES = (64, 128, 256, 512)  # channels of the first four blocks of VGG16
_WIDTH = 32


class Critic(nn.Module):
    """
    Small heads on frozen features (Sauer et al., "Projected GANs converge faster", 2021).

    Each judges every place of one map by its neighbourhood; hinge losses (Lim and Ye, 2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(channels) for channels in FEATURES)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """
        Judge unit-normalised maps (B, C, h, w), those of ``VggDistance.features``.

        :returns: a verdict (B, 1, h, w) of each: above 0 for real.
        """
        # unit length to unit deviation of each channel
        return [head(each * each.shape[1] ** 0.5)
                for head, each in zip(self.heads, maps, strict=False)]

    def losses(self, made: Sequence[Tensor], real: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Loss of the critic, which leaves the maker alone, and of the maker, vice versa."""
        own = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for r, m in zip(
            self(real), self([each.detach() for each in made]), strict=True)]
        with _frozen(self):
            fooled = [-verdict.mean() for verdict in self(made)]
        return torch.stack(own).mean(), torch.stack(fooled).mean()


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, _WIDTH, 1)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(_WIDTH, 1, 1)))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Keep what is computed meanwhile from training ``module``."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
