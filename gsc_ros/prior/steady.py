"""Keeps a video still where nothing moves: what was made of one picture serves the next."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Mean difference of a latent cell's pixels, in grey levels, from which on a cell is made anew.
# Measured at 0.01 to 0.04 bpp, each picture coded on its own: at 8 three quarters of a still scene
# before a noisy sensor stay, and 0.3 % of the cells whose source changes by 20 or more.
STILL = 8.0
# Rise of the rate from which on all is made anew: what was refined since is worth showing.
FINER = 1.25


@dataclass(frozen=True)
class Making:
    """How a picture is made: seed of the noise, steps of the solver, rate that it was sent at."""

    seed: int
    steps: int
    bpp: float

    def serves(self, wanted: Making) -> bool:
        """Whether what was made so may stand for what is wanted now."""
        return (self.seed, self.steps) == (wanted.seed, wanted.steps) \
            and wanted.bpp < FINER * self.bpp


@dataclass
class LastPicture:
    """
    What a camera's last picture was made from and became; one a camera, empty at first.

    Each cell of the latent is compared with the plain picture that *it* was made from, so that
    slow changes add up and are seen.
    """

    plain: Tensor | None = None     # (1, 3, H, W) in -1..1
    clean: Tensor | None = None     # (1, C, h, w)
    making: Making | None = None

    def still(self, plain: Tensor, making: Making) -> Tensor | None:
        """Cells (1, 1, h, w) bool that need not be made anew; None: nothing to go by."""
        if (self.plain is None or self.clean is None or self.making is None
                or not self.making.serves(making) or self.plain.shape != plain.shape):
            return None
        cell = plain.shape[-1] // self.clean.shape[-1]
        change = (plain - self.plain).abs().mean(1, keepdim=True) * 127.5
        return F.avg_pool2d(change, cell) < STILL

    def keep(self, plain: Tensor, clean: Tensor, still: Tensor | None, making: Making
             ) -> None:
        """Note what became of ``plain``; the ``still`` cells stay as they were noted."""
        if still is None or self.plain is None:
            self.plain, self.clean, self.making = plain, clean, making
            return
        cell = plain.shape[-1] // clean.shape[-1]
        pixels = F.interpolate(still.float(), scale_factor=cell, mode='nearest').bool()
        self.plain = torch.where(pixels, self.plain, plain)
        self.clean = clean
