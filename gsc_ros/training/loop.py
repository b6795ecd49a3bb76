"""One training loop for every stage: resumable, with EMA, logs, curves and sample sheets."""
from __future__ import annotations

from collections.abc import Callable, Iterator
import copy
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
import json
import math
import os
from pathlib import Path
import time
from typing import Any, Protocol

from gsc_ros.codec.errors import CheckpointError
import numpy as np
import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm


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


def settings(model: nn.Module) -> dict[str, Any]:
    """Sizes that a model was built with, as its checkpoints note them; empty if it has none."""
    config = getattr(model, 'config', None)
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}


def read_checkpoint(path: Path, model: nn.Module) -> dict[str, Any]:
    """
    Read what a run of such a model left: step, settings, trained, average, optimiser.

    :raises CheckpointError: if it is not there, or of a model with other settings: their weights
        may fit, and would mislead.
    """
    if not path.is_file():
        raise CheckpointError(path, f'missing; run `gsc train {path.parent.name}` first')
    state = torch.load(path, map_location='cpu', weights_only=True)
    if 'settings' not in state:
        raise CheckpointError(path, 'an older version made it, and did not note its settings')
    ours = settings(model)
    for name, value in state['settings'].items():
        if ours.get(name) != value:
            raise CheckpointError(path, f'trained with {name} {value}, not {ours.get(name)}')
    return dict(state)


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
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    device = config.place
    stage.to(device)
    model = stage.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model).requires_grad_(False)
    trained = nn.ModuleList(
        [model, *([] if stage.critic is None else [stage.critic])]).to(device)
    trainable = [p for p in trained.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01)
    start = _resume(folder / 'checkpoint.pt', trained, average, optimiser, config.start)

    began = saved = clock()
    log = (folder / 'log.jsonl').open('a')
    batches = _batches(stage, config, start)
    bar = tqdm(range(start, config.steps), initial=start, total=config.steps, desc=folder.name,
               mininterval=5)
    for step in bar:
        for group in optimiser.param_groups:
            group['lr'] = learning_rate(step, config)
        torch.manual_seed(config.seed * 1_000_003 + step)
        batch = moved(next(batches), device)
        with torch.autocast(device.type, torch.bfloat16, config.precision == 'bfloat16'):
            loss, figures = stage.loss(model, batch, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # each by itself: a critic's gradient must not shrink the model's
        norms = [float(nn.utils.clip_grad_norm_(part.parameters(), config.clip))
                 for part in trained]
        if np.isfinite(norms).all():
            optimiser.step()
        _update_average(average, model, min(config.ema, (step + 1) / (step + 10)))
        if step % config.log_every == 0:
            line = {'step': step, 'loss': loss.item(), 'grad': norms[0], **figures}
            log.write(json.dumps(line) + '\n')
            log.flush()
            bar.set_postfix({k: f'{v:.3f}' for k, v in figures.items()}, refresh=False)
        late = clock() - began > limit_s
        last = late or step + 1 == config.steps
        if last or (step + 1) % config.evaluate_every == 0:
            scores = stage.evaluate(average, folder / f'sheet_{step + 1:06d}.png')
            log.write(json.dumps({'step': step, **{f'val_{k}': v for k, v in scores.items()}})
                      + '\n')
            log.flush()
            plot_curves(folder / 'log.jsonl', folder / 'curves.png')
        if last or clock() - saved > config.checkpoint_seconds:
            save_atomically({'step': step + 1, 'settings': settings(model),
                             'trained': trained.state_dict(), 'average': average.state_dict(),
                             'optimiser': optimiser.state_dict()}, folder / 'checkpoint.pt')
            saved = clock()
        if late:
            break
    return average


def _resume(path: Path, trained: nn.ModuleList, average: nn.Module,
            optimiser: torch.optim.Optimizer, start: str) -> int:
    """Load what a run left, or the weights that a new one begins with; the step to go on at."""
    if path.is_file():
        state = read_checkpoint(path, average)
        try:
            trained.load_state_dict(state['trained'])
        except RuntimeError as error:
            raise CheckpointError(path, f'a run with other parts left it: {error}') from error
        average.load_state_dict(state['average'])
        optimiser.load_state_dict(state['optimiser'])
        return int(state['step'])
    if start:
        weights = read_checkpoint(Path(start), average)['average']
        for model in (trained[0], average):
            model.load_state_dict(weights)
    return 0


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
