"""One training loop for every stage: resumable, with EMA, logs, curves and sample sheets."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import copy
from dataclasses import fields, is_dataclass, replace
import json
import math
from pathlib import Path
import time
from typing import Any, Protocol

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.training import checkpoints
from gsc_ros.training.curves import plot_curves
from gsc_ros.training.schedule import learning_rate, LoopConfig
import numpy as np
import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm


class Stage(Protocol):
    """What a stage brings: a model, a loss on a batch and an evaluation."""

    model: nn.Module

    @property
    def critic(self) -> nn.Module | None:
        """Adversary that the loss trains along: kept with the run, not averaged or exported."""

    def to(self, device: torch.device) -> None:
        """Move everything but model and critic that ``loss`` and ``evaluate`` need."""

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one batch from the generator and nothing else, on the CPU."""

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Loss to minimise and figures to log."""

    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Figures on the held-out split; writes a sheet of samples to ``sheet``."""


class _Batches(Dataset[dict[str, Any]]):
    """The batch of each step, from a generator seeded with (seed, step) whoever draws it."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed

    def __getitem__(self, step: int) -> dict[str, Any]:
        return self.stage.batch(np.random.default_rng((self.seed, step)))


def _batches(stage: Stage, config: LoopConfig, start: int) -> Iterator[dict[str, Any]]:
    loader = DataLoader(
        _Batches(stage, config.seed), batch_size=None, sampler=range(start, config.steps),
        num_workers=config.workers, prefetch_factor=4 if config.workers else None,
        collate_fn=_as_it_is, multiprocessing_context='fork' if config.workers else None)
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch


def moved(value: Any, device: torch.device) -> Any:
    """Tensors, in dicts and dataclasses too, on the device; all else as it is."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: moved(getattr(value, f.name), device)
                                 for f in fields(value)})
    return value


def train(stage: Stage, config: LoopConfig, folder: Path,
          clock: Callable[[], float] = time.monotonic, limit_s: float = math.inf) -> nn.Module:
    """
    Train a stage until ``config.steps``, resuming from ``folder`` if it holds a checkpoint.

    Every step draws its batch from a generator seeded with (seed, step), so that a resumed run
    sees the same batches as an uninterrupted one. After ``limit_s`` seconds it stops with a
    checkpoint, to be resumed.

    :returns: the EMA model. ``folder`` then holds checkpoint.pt, log.jsonl, curves.png, sheets.
    """
    run = StageRun(stage, config, folder)
    began = saved = clock()
    batches = _batches(stage, config, run.done)
    bar = tqdm(range(run.done, config.steps), initial=run.done, total=config.steps,
               desc=folder.name, mininterval=5)
    for step in bar:
        figures = run.step(moved(next(batches), run.device))
        if step % config.log_every == 0:
            run.log(figures)
            bar.set_postfix({k: f'{v:.3f}' for k, v in figures.items()}, refresh=False)
        late = clock() - began > limit_s
        last = late or run.done == config.steps
        if last or run.done % config.evaluate_every == 0:
            run.evaluate()
        if last or clock() - saved > config.checkpoint_seconds:
            run.save()
            saved = clock()
        if late:
            break
    return run.average


class StageRun:
    """A stage under way: networks, their average, optimiser and the folder that it is kept in."""

    def __init__(self, stage: Stage, config: LoopConfig, folder: Path) -> None:
        """
        Build what is trained and take up what ``folder`` holds.

        :raises CheckpointError: if a run of another model or with other parts left it.
        """
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.stage, self.config, self.folder, self.device = stage, config, folder, config.place
        stage.to(self.device)
        self.model = stage.model.to(
            self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        critics = [] if stage.critic is None else [stage.critic]
        self.parts = nn.ModuleList([self.model, *critics]).to(self.device)
        self.optimiser = torch.optim.AdamW(
            [p for p in self.parts.parameters() if p.requires_grad], lr=config.lr,
            betas=(0.9, 0.98), weight_decay=0.01)
        self.done = self._resume()

    def step(self, batch: dict[str, Any]) -> dict[str, float]:
        """Take one step on a batch that lies on the device; the figures to log."""
        step, config = self.done, self.config
        for group in self.optimiser.param_groups:
            group['lr'] = learning_rate(step, config)
        torch.manual_seed(config.seed * 1_000_003 + step)
        with torch.autocast(self.device.type, torch.bfloat16, config.precision == 'bfloat16'):
            loss, figures = self.stage.loss(self.model, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # each by itself: a critic's gradient must not shrink the model's
        norms = [float(nn.utils.clip_grad_norm_(part.parameters(), config.clip))
                 for part in self.parts]
        if np.isfinite(norms).all():
            self.optimiser.step()
        _update_average(self.average, self.model, min(config.ema, (step + 1) / (step + 10)))
        self.done += 1
        return {'loss': loss.item(), 'grad': norms[0], **figures}

    def log(self, figures: Mapping[str, float]) -> None:
        """Add a line on the latest step."""
        with (self.folder / 'log.jsonl').open('a') as file:
            file.write(json.dumps({'step': self.done - 1, **figures}) + '\n')

    def evaluate(self) -> None:
        """Log how the average does on held-out pictures, with a sheet and the curves."""
        scores = self.stage.evaluate(self.average, self.folder / f'sheet_{self.done:06d}.png')
        self.log({f'val_{name}': score for name, score in scores.items()})
        plot_curves(self.folder / 'log.jsonl', self.folder / 'curves.png')

    def save(self) -> None:
        """Write all that the run needs to go on."""
        checkpoints.save_atomically(
            {'step': self.done, 'settings': checkpoints.settings(self.model),
             'trained': self.parts.state_dict(), 'average': self.average.state_dict(),
             'optimiser': self.optimiser.state_dict()}, self.folder / checkpoints.FILE)

    def _resume(self) -> int:
        """Load what a run left, or the weights to begin with; the step to go on at."""
        path = self.folder / checkpoints.FILE
        if path.is_file():
            state = checkpoints.read_checkpoint(path, self.average)
            try:
                self.parts.load_state_dict(state['trained'])
            except RuntimeError as error:
                raise CheckpointError(path, f'a run with other parts left it: {error}') from error
            self.average.load_state_dict(state['average'])
            self.optimiser.load_state_dict(state['optimiser'])
            return int(state['step'])
        if self.config.start:
            start = checkpoints.read_checkpoint(Path(self.config.start), self.average)['average']
            for model in (self.model, self.average):
                model.load_state_dict(start)
        return 0


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for copied, buffer in zip(average.buffers(), model.buffers(), strict=True):
        copied.copy_(buffer)
