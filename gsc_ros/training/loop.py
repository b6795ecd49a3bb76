"""One training loop for every stage: resumable, with EMA, logs, curves and sample sheets."""
from __future__ import annotations

from collections.abc import Callable
import copy
from dataclasses import dataclass
import json
import math
import os
from pathlib import Path
import time
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn, Tensor
from tqdm import tqdm


@dataclass(frozen=True)
class LoopConfig:
    """How long and how a stage trains; the stage's own settings stand beside it."""

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


class Stage(Protocol):
    """What a stage brings: a model, a loss on a batch and an evaluation."""

    model: nn.Module

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one batch from the generator and nothing else."""

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Loss to minimise and figures to log."""

    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Figures on the held-out split; writes a sheet of samples to ``sheet``."""


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def save_atomically(state: Any, path: Path) -> None:
    """Save so that a kill at any moment leaves the old file or the new one, never a part."""
    temporary = path.with_suffix('.tmp')
    torch.save(state, temporary)
    os.replace(temporary, path)


def train(stage: Stage, config: LoopConfig, folder: Path,
          clock: Callable[[], float] = time.monotonic) -> nn.Module:
    """
    Train a stage until ``config.steps``, resuming from ``folder`` if it holds a checkpoint.

    Every step draws its batch from a generator seeded with (seed, step), so that a resumed run
    sees the same batches as an uninterrupted one.

    :returns: the EMA model. ``folder`` then holds checkpoint.pt, log.jsonl, curves.png, sheets.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = stage.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model).requires_grad_(False)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01)
    start = _resume(folder / 'checkpoint.pt', model, average, optimiser)

    saved, log = clock(), (folder / 'log.jsonl').open('a')
    bar = tqdm(range(start, config.steps), initial=start, total=config.steps, desc=folder.name,
               mininterval=5)
    for step in bar:
        for group in optimiser.param_groups:
            group['lr'] = learning_rate(step, config)
        torch.manual_seed(config.seed * 1_000_003 + step)
        batch = stage.batch(np.random.default_rng((config.seed, step)))
        loss, figures = stage.loss(model, batch, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(trainable, config.clip))
        if np.isfinite(norm):
            optimiser.step()
        _update_average(average, model, min(config.ema, (step + 1) / (step + 10)))
        if step % config.log_every == 0:
            line = {'step': step, 'loss': loss.item(), 'grad': norm, **figures}
            log.write(json.dumps(line) + '\n')
            log.flush()
            bar.set_postfix({k: f'{v:.3f}' for k, v in figures.items()}, refresh=False)
        last = step + 1 == config.steps
        if last or (step + 1) % config.evaluate_every == 0:
            scores = stage.evaluate(average, folder / f'sheet_{step + 1:06d}.png')
            log.write(json.dumps({'step': step, **{f'val_{k}': v for k, v in scores.items()}})
                      + '\n')
            log.flush()
            plot_curves(folder / 'log.jsonl', folder / 'curves.png')
        if last or clock() - saved > config.checkpoint_seconds:
            save_atomically({'step': step + 1, 'model': model.state_dict(), 'optimiser':
                             optimiser.state_dict(), 'average': average.state_dict()},
                            folder / 'checkpoint.pt')
            saved = clock()
    return average


def _resume(path: Path, model: nn.Module, average: nn.Module,
            optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, map_location='cpu', weights_only=True)
    model.load_state_dict(state['model'])
    average.load_state_dict(state['average'])
    optimiser.load_state_dict(state['optimiser'])
    return int(state['step'])


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for copied, buffer in zip(average.buffers(), model.buffers(), strict=True):
        copied.copy_(buffer)


def plot_curves(log: Path, out: Path) -> None:
    """Draw every figure of a log file against the step, one small plot each."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    series: dict[str, list[tuple[int, float]]] = {}
    for text in log.read_text().splitlines():
        line = json.loads(text)
        for key, value in line.items():
            if key != 'step':
                series.setdefault(key, []).append((line['step'], value))
    columns = 4
    rows = -(-len(series) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), squeeze=False)
    for axis, (key, points) in zip(axes.flat, series.items(), strict=False):
        axis.plot(*zip(*points, strict=True), linewidth=0.8)
        axis.set_title(key, fontsize=9)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    plt.close(figure)
