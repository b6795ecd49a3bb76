"""Noise, schedule and solver: pure functions, as in flux's ``sampling.py``."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gsc_ros.prior.embedded import FlowPrior
import torch
from torch import Tensor

Correct = Callable[[Tensor], Tensor]
"""Predicted clean latents (B, C, h, w) to better ones."""


def draw_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Draw standard normal float32 noise of a shape (B, C, h, w), on the CPU for any device."""
    return torch.randn(shape, generator=torch.Generator('cpu').manual_seed(seed))


def shifted(start: Tensor, steps: int, factor: float) -> Tensor:
    """
    Give times (steps + 1, B) from ``start`` (B,) to 0, even before t = a u / (1 + (a - 1) u).

    The shift by a factor a spends more steps at high noise, as big pictures need (Esser et al.,
    "Scaling rectified flow transformers", 2024, equation 23); a = 1 spaces evenly.
    """
    even = start / (factor - (factor - 1) * start)
    u = even * torch.linspace(1, 0, steps + 1, device=start.device)[:, None]
    return factor * u / (1 + (factor - 1) * u)


def integrate(prior: FlowPrior, x: Tensor, condition: Any, times: Sequence[float] | Tensor,
              correct: Correct | None = None) -> Tensor:
    """
    Euler from times[0] to times[-1]: the flow's end, shaped as ``x`` (B, C, h, w).

    :param times: falling; numbers for the whole batch, or (steps + 1, B).
    :param correct: moves the clean latent x - t v that each step predicts; the noise that goes
        with it stays.
    """
    grid = torch.as_tensor(times, dtype=torch.float32, device=x.device)
    grid = grid.reshape(len(grid), -1).expand(-1, x.shape[0])
    for now, then in zip(grid[:-1], grid[1:], strict=True):
        velocity = prior.velocity(x, now, condition)
        clean = x - _each(now) * velocity
        x = x + _each(then - now) * velocity
        if correct is not None:
            x = x + _each(1 - then) * (correct(clean) - clean)
    return x


def _each(t: Tensor) -> Tensor:
    return t[:, None, None, None]
