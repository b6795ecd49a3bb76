"""Holds a flow to what was sent, and to what was shown before, in the latent space of a prior."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsc_ros.prior.consistency import Constraint
from gsc_ros.prior.embedded import FlowPrior
import torch
from torch import Tensor
from torch.nn import functional as F

Held = tuple[Tensor, Tensor]
"""Cells (1, 1, h, w) bool that stay, and the clean latent (1, C, h, w) that they stay at."""


@dataclass(frozen=True)
class Correction:
    """
    Corrects the clean latents (B, C, h, w) that a step of the flow predicts.

    ``constraints`` and ``held`` have an entry a picture, None where there is nothing to hold it
    to; pictures are ``width`` x ``height`` before padding.
    """

    prior: FlowPrior
    constraints: Sequence[Constraint | None]
    held: Sequence[Held | None]
    width: int
    height: int

    @property
    def needed(self) -> bool:
        """Whether it changes anything at all."""
        return self._pulls or any(h is not None for h in self.held)

    @property
    def _pulls(self) -> bool:
        held = any(constraint is not None for constraint in self.constraints)
        return bool(self.prior.running.consistency) and held

    def __call__(self, clean: Tensor) -> Tensor:
        """Return the corrected latents."""
        how = self.prior.running
        given = self.prior, clean, self.constraints, self.width, self.height, how.consistency
        if self._pulls:
            clean = descend(*given, how.gradient_steps) if how.gradient_steps else pull(*given)
        rows = [row if held is None else torch.where(held[0], held[1], row)
                for row, held in zip(clean.split(1), self.held, strict=True)]
        return torch.cat(rows)


def pull(prior: FlowPrior, clean: Tensor, constraints: Sequence[Constraint | None], width: int,
         height: int, strength: float) -> Tensor:
    """
    Move clean latents towards pictures that are coded into what was sent; no gradients.

    The picture is corrected in pixels and encoded again. Only the change enters the latent, so
    that what the autoencoder loses on the way is not lost anew at each step.
    """
    picture = prior.to_picture(clean).clamp(-1, 1)
    moved = torch.cat([_moved(row, s, width, height)
                       for row, s in zip(picture.split(1), constraints, strict=True)])
    return clean + strength * (prior.to_latent(moved) - prior.to_latent(picture))


def _moved(picture: Tensor, constraint: Constraint | None, width: int, height: int) -> Tensor:
    if constraint is None:
        return picture
    right, bottom = picture.shape[-1] - width, picture.shape[-2] - height
    pulled = constraint.pull(picture[..., :height, :width])
    return F.pad(pulled, (0, right, 0, bottom), 'replicate').clamp(-1, 1)


def descend(prior: FlowPrior, clean: Tensor, constraints: Sequence[Constraint | None], width: int,
            height: int, strength: float, steps: int) -> Tensor:
    """
    Do as ``pull``, by gradients of the misfit through the prior's decoder.

    Step sizes are Polyak's (1987) for a least misfit of 0.
    """
    rows = []
    for row, s in zip(clean.split(1), constraints, strict=True):
        if s is not None:
            for _ in range(steps):
                row = _downhill(prior, row, s, width, height, strength)
        rows.append(row)
    return torch.cat(rows)


@torch.enable_grad()
def _downhill(prior: FlowPrior, clean: Tensor, constraint: Constraint, width: int, height: int,
              strength: float) -> Tensor:
    clean = clean.detach().requires_grad_()
    misfit = constraint.misfit(prior.to_picture(clean)[..., :height, :width])
    (slope,) = torch.autograd.grad(misfit, clean)
    power = slope.square().sum().clamp_min(torch.finfo(slope.dtype).tiny)
    return (clean - strength * misfit / power * slope).detach()
