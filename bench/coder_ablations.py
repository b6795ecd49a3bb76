"""
What the learned coder's parts are worth: each variant trained alike, from scratch, and compared.

    python bench/coder_ablations.py --data ../shared/data --out ablations [--steps 400]
        [--only staged,hyper] [--threads 2]

Trains on latents of the shipped autoencoder (variant ``pixels``: through its decoder from the
first step), stops and resumes like any training, and prints rates, PSNR and VGG distance of 16
held-out crops at four levels; rates are estimates. So short a training ranks beginnings, not ends.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path

from gsc_ros.codec.context import PHASES, SYMBOL_LIMIT
from gsc_ros.models.layers import res_blocks, upsample
from gsc_ros.models.learned import (
    ContextNetworks,
    LearnedConfig,
    LearnedTransform,
    normal_bits,
    round_through,
)
from gsc_ros.prior.generator import load_autoencoder
from gsc_ros.training.data import load_pictures, PictureSet
from gsc_ros.training.learned import LearnedStage
from gsc_ros.training.loop import train
from gsc_ros.training.schedule import LoopConfig
from gsc_ros.training.stages import held_out
import numpy as np
import torch
from torch import nn, Tensor

LEVELS = (0, 5, 10, 15)         # quality levels that LearnedStage.evaluate measures


class Factorised(ContextNetworks):
    """No context: mean and scale of a symbol depend on its channel and the level alone."""

    def forward(self, symbols: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ContextNetworks``."""
        mean, scale = torch.zeros_like(symbols), torch.ones_like(symbols)
        size = self.config.symbols // self.config.groups
        for group in range(self.config.groups):
            where = (slice(None), slice(group * size, (group + 1) * size), slice(None),
                     slice(None))
            mean[where], scale[where] = self._stage(torch.zeros_like(symbols), group, where, level)
        return mean, scale


class Checkerboard(ContextNetworks):
    """Two phases, all channels at once (He et al. 2021), instead of four times two."""

    def forward(self, symbols: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ContextNetworks``."""
        mean, scale = torch.zeros_like(symbols), torch.ones_like(symbols)
        known = torch.zeros_like(symbols)
        for stage, phases in enumerate((PHASES[:2], PHASES[2:])):
            places = [(slice(None), slice(None), slice(row, None, 2), slice(column, None, 2))
                      for row, column in phases]
            for where in places:
                mean[where], scale[where] = self._stage(known, stage, where, level)
            known = known.clone()
            for where in places:
                known[where] = symbols[where]
        return mean, scale


class Hyper(nn.Module):
    """Mean and scale from a hyper-latent of a quarter of the resolution (Minnen et al. 2018)."""

    def __init__(self, c: LearnedConfig, side: int = 8) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(c.symbols, c.hidden, 3, stride=2, padding=1),
                                  nn.SiLU(), nn.Conv2d(c.hidden, side, 3, stride=2, padding=1))
        self.up = nn.Sequential(nn.Conv2d(side, c.hidden, 3, padding=1), nn.SiLU(),
                                upsample(c.hidden, c.hidden), nn.SiLU(),
                                upsample(c.hidden, 2 * c.symbols))
        self.level = nn.Embedding(c.levels, 2 * c.symbols)
        nn.init.zeros_(self.level.weight)
        self.log_scale = nn.Parameter(torch.zeros(side, 1, 1))
        self.side_bits = torch.zeros(1)

    def forward(self, symbols: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ContextNetworks``; leaves the hyper-latent's bits in ``side_bits`` (B,)."""
        z = self.down(symbols)
        noisy = z + torch.rand_like(z) - 0.5 if self.training else z.round()
        self.side_bits = normal_bits(noisy, self.log_scale.exp().clamp_min(0.11)).sum((1, 2, 3))
        out = self.up(round_through(z))[..., :symbols.shape[2], :symbols.shape[3]]
        out = out + self.level(level.round().long())[:, :, None, None]
        mean, log_scale = out.chunk(2, dim=1)
        return mean, log_scale.exp().clamp(0.11, 12)


class HyperTransform(LearnedTransform):
    """The product's transform with a hyper-latent instead of a context."""

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__(config)
        self.hyper = Hyper(config)
        self.context = self.hyper   # type: ignore[assignment]

    def bits(self, scaled: Tensor, symbols: Tensor, level: Tensor) -> Tensor:
        """Bits of latent and hyper-latent, (B,)."""
        return super().bits(scaled, symbols, level) + self.hyper.side_bits


class F16(LearnedTransform):
    """Symbols at a sixteenth of the picture's resolution, a quarter of the channels."""

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__(config)
        w8, w16, _ = config.widths
        self.analysis = nn.Sequential(
            nn.Conv2d(config.latent_channels, w8, 3, padding=1), res_blocks(w8, 1),
            nn.Conv2d(w8, w16, 4, stride=2, padding=1), res_blocks(w16, 4),
            nn.Conv2d(w16, config.symbols, 1))
        self.entry = nn.Conv2d(config.symbols, w16, 3, padding=1)
        self.blocks32, self.up16 = nn.ModuleList(), nn.Sequential()


class FiniteScalar(LearnedTransform):
    """Bounded before rounding: 2 h + 1 values a channel, h by level (Mentzer et al. 2024)."""

    def quantise(self, latent: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """See ``LearnedTransform``; h is the gain, which starts at 0.4 to 3.3."""
        half = self.gain(quality).clamp(0.1, SYMBOL_LIMIT)
        scaled = half * torch.tanh(self.analysis(latent))
        return scaled, round_through(scaled)


class FactorisedTransform(LearnedTransform):
    """The product's transform without a context."""

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__(config)
        self.context = Factorised(config)


class CheckerboardTransform(LearnedTransform):
    """The product's transform with two phases."""

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__(config)
        self.context = Checkerboard(config)


BASE = LearnedConfig(scale_gain=1.0)    # as the coder was when most of these were run
# name: what it is, how it is built, whether it is trained through the decoder
VARIANTS: dict[str, tuple[str, Callable[[], LearnedTransform], bool]] = {
    'staged': ('f32, scalar, 4 phases x 2 groups (at first)', lambda: LearnedTransform(BASE),
               False),
    'gain': ('the same, scales learned 8 times as fast (shipped)',
             lambda: LearnedTransform(LearnedConfig()), False),
    'f16 gain': ('f16, 8 channels, scales learned 8 times as fast',
                 lambda: F16(LearnedConfig(symbols=8)), False),
    'factorised': ('no context', lambda: FactorisedTransform(BASE), False),
    'checkerboard': ('2 phases x 1 group',
                     lambda: CheckerboardTransform(replace(BASE, groups=1)), False),
    'hyper': ('hyper-latent, no context', lambda: HyperTransform(BASE), False),
    'f16': ('f16, 8 channels', lambda: F16(replace(BASE, symbols=8)), False),
    'fsq': ('finite scalar quantisation', lambda: FiniteScalar(BASE), False),
    'pixels': ('decoded MSE + VGG instead of latent MSE', lambda: LearnedTransform(BASE), True),
}


def run(name: str, pictures: PictureSet, given: argparse.Namespace) -> dict[str, float]:
    """Train a variant and return its last evaluation."""
    _, build, pixels = VARIANTS[name]
    spared = held_out(len(pictures))
    chosen = np.setdiff1d(np.arange(len(pictures)), spared)
    stage = LearnedStage(load_autoencoder(), pictures.select(chosen), pictures.select(spared),
                         batch=given.batch,
                         latent_steps=0 if pixels else given.steps)
    torch.manual_seed(0)
    stage.model = build()
    loop = LoopConfig(steps=given.steps, batch=given.batch, lr=1e-3, warmup=30, ema=0.98,
                      threads=given.threads, evaluate_every=given.steps)
    train(stage, loop, given.out / name)
    lines = [json.loads(line) for line in (given.out / name / 'log.jsonl').open()]
    return next(line for line in reversed(lines) if 'val_bpp0' in line)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--only', default=','.join(VARIANTS))
    given = parser.parse_args()
    pictures = load_pictures(given.data)
    results = {name: run(name, pictures, given) for name in given.only.split(',')}
    print(f'| variant, levels {LEVELS} | bpp | PSNR, dB | VGG distance |')
    print('| --- | --- | --- | --- |')
    for name, scores in results.items():
        cells = (' / '.join(f'{scores[f"val_{figure}{level}"]:.{digits}f}' for level in LEVELS)
                 for figure, digits in (('bpp', 4), ('psnr', 2), ('vgg', 2)))
        print('| ' + ' | '.join((VARIANTS[name][0], *cells)) + ' |')


if __name__ == '__main__':
    main()
