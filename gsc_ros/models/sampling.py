"""Noise, schedule and solver: pure functions, as in flux's ``sampling.py``."""
from __future__ import annotations

from gsc_ros.models.prior import Condition, FlowPrior
import torch
from torch import Tensor


def draw_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Draw standard normal float32 noise, on the CPU so that every device sees the same."""
    return torch.randn(shape, generator=torch.Generator('cpu').manual_seed(seed))


def schedule(steps: int) -> list[float]:
    """Space times evenly: 1 = t_0 > ... > t_steps = 0."""
    return [1 - i / steps for i in range(steps + 1)]


def integrate(prior: FlowPrior, x: Tensor, condition: Condition, times: list[float]) -> Tensor:
    """Euler from times[0] to times[-1]: the flow's end, shaped as ``x``."""
    for now, then in zip(times[:-1], times[1:], strict=True):
        t = torch.full((x.shape[0],), now, device=x.device)
        x = x + (then - now) * prior.velocity(x, t, condition)
    return x
