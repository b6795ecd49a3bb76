"""How long and how fast a stage is trained."""
from __future__ import annotations

from dataclasses import dataclass
import math

import torch


@dataclass(frozen=True)
class LoopConfig:
    """
    How long and how a stage trains; the stage's own settings stand beside it.

    ``device`` auto takes a GPU where there is one; ``precision`` bfloat16 is autocast, metrics
    stay in float32; ``workers`` are processes that draw batches ahead (0: none); ``threads`` are
    the CPU's. ``start`` is a checkpoint whose averaged weights a new run begins with,
    all of them: those of the stages that it builds on, too.
    """

    steps: int = 5000
    batch: int = 8
    lr: float = 1e-3
    warmup: int = 100
    ema: float = 0.998
    seed: int = 0
    checkpoint_seconds: float = 120.0
    log_every: int = 25
    evaluate_every: int = 1000
    clip: float = 1.0
    threads: int = 2
    device: str = 'auto'
    precision: str = 'float32'
    workers: int = 0
    start: str = ''

    @property
    def place(self) -> torch.device:
        """The device that ``device`` means here."""
        found = 'cuda' if torch.cuda.is_available() else 'cpu'
        return torch.device(found if self.device == 'auto' else self.device)


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
