"""The learned coder's networks: analysis, synthesis and the float twin of the context model."""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.codec.context import (
    ACTIVATION_BITS,
    PHASES,
    SCALE_LEVELS,
    SYMBOL_LIMIT,
    WEIGHT_BITS,
)
from gsc_ros.models.layers import res_blocks, ResBlock, upsample
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LearnedConfig:
    """
    Sizes of the learned coder; stored in its checkpoint.

    ``scale_gain``: scale levels that one unit of the context networks' output stands for. With 1
    the optimiser takes thousands of steps to cross the 32 levels: 400 from scratch reach 0.0084
    bpp at the lowest quality with 8 and 0.036 with 1 (bench/coder_ablations.py).
    """

    latent_channels: int = 16
    symbols: int = 32
    widths: tuple[int, int, int] = (96, 160, 224)
    groups: int = 2
    hidden: int = 96
    levels: int = 16
    scale_gain: float = 8.0


def round_through(x: Tensor) -> Tensor:
    """Round; the gradient passes as if nothing had happened."""
    return x + (x.round() - x).detach()


class ContextNetworks(nn.Module):
    """One small network per stage; ``codec.context`` runs the same networks in integers."""

    def __init__(self, c: LearnedConfig) -> None:
        super().__init__()
        self.config = c
        stages, out = len(PHASES) * c.groups, 2 * c.symbols // c.groups
        self.first = nn.Parameter(torch.randn(stages, c.symbols * 9, c.hidden) * 0.05)
        self.bias = nn.Parameter(torch.randn(stages, c.levels, c.hidden) * 0.3)
        self.second = nn.Parameter(torch.randn(stages, c.hidden + 1, c.hidden) * c.hidden ** -0.5)
        self.third = nn.Parameter(torch.randn(stages, c.hidden + 1, out) * 0.02)
        # start at a scale of about one
        self.third.data[:, -1, out // 2:] = 15.0 / c.scale_gain

    def forward(self, symbols: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols (B, C, h, w), levels (B,) -> mean and scale, both (B, C, h, w)."""
        mean, scale = torch.zeros_like(symbols), torch.ones_like(symbols)
        size = self.config.symbols // self.config.groups
        known = torch.zeros_like(symbols)
        for phase, (row, column) in enumerate(PHASES):
            for group in range(self.config.groups):
                where = (slice(None), slice(group * size, (group + 1) * size),
                         slice(row, None, 2), slice(column, None, 2))
                m, s = self._stage(known, phase * self.config.groups + group, where, level)
                mean, scale = mean.clone(), scale.clone()
                mean[where], scale[where] = m, s
                known = known.clone()
                known[where] = symbols[where]
        return mean, scale

    def _stage(self, known: Tensor, stage: int, where: tuple[slice, ...], level: Tensor
               ) -> tuple[Tensor, Tensor]:
        batch = known.shape[0]
        patches = F.unfold(known, 3, padding=1).view(batch, -1, *known.shape[2:])
        patches = patches[:, :, where[2], where[3]]
        rows, columns = patches.shape[2:]
        x = patches.flatten(2).transpose(1, 2) @ self.first[stage]
        x = F.relu(x + self.bias[stage, level.round().long()][:, None])
        x = F.relu(x @ self.second[stage, :-1] + self.second[stage, -1])
        out = (x @ self.third[stage, :-1] + self.third[stage, -1]).transpose(1, 2)
        mean, index = out.reshape(batch, -1, rows, columns).chunk(2, dim=1)
        index = (index * self.config.scale_gain).clamp(0, SCALE_LEVELS - 1)
        scale = 0.11 * torch.exp(index * float(np.log(12 / 0.11) / (SCALE_LEVELS - 1)))
        return mean.clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT), scale

    @torch.no_grad()
    def to_integers(self) -> dict[str, np.ndarray]:
        """Round the weights to the fixed point that ``codec.context`` computes in."""
        def fixed(x: Tensor, bits: int) -> np.ndarray:
            return np.round(x.double().numpy() * 2.0 ** bits).astype(np.int32)

        def with_bias(x: Tensor) -> np.ndarray:
            return np.concatenate([fixed(x[:, :-1], WEIGHT_BITS),
                                   fixed(x[:, -1:], WEIGHT_BITS + ACTIVATION_BITS)], axis=1)
        third = self.third.clone()
        third[..., third.shape[2] // 2:] *= self.config.scale_gain
        return {'context.first': fixed(self.first, WEIGHT_BITS),
                'context.bias': fixed(self.bias, WEIGHT_BITS),
                'context.second': with_bias(self.second),
                'context.third': with_bias(third)}


class LearnedTransform(nn.Module):
    """Autoencoder latents (f8) to symbols (f32) and back, at a rate set by gains."""

    def __init__(self, config: LearnedConfig = LearnedConfig()) -> None:
        super().__init__()
        self.config = c = config
        w8, w16, w32 = c.widths
        self.analysis = nn.Sequential(
            nn.Conv2d(c.latent_channels, w8, 3, padding=1), res_blocks(w8, 1),
            nn.Conv2d(w8, w16, 4, stride=2, padding=1), res_blocks(w16, 2),
            nn.Conv2d(w16, w32, 4, stride=2, padding=1), res_blocks(w32, 2),
            nn.Conv2d(w32, c.symbols, 1))
        self.entry = nn.Conv2d(c.symbols, w32, 3, padding=1)
        self.blocks32 = nn.ModuleList(ResBlock(w32, 32) for _ in range(3))
        self.up16, self.blocks16 = upsample(w32, w16), res_blocks(w16, 3)
        self.up8, self.blocks8 = upsample(w16, w8), res_blocks(w8, 2)
        self.exit = nn.Conv2d(w8, c.latent_channels, 3, padding=1)
        self.level_embedding = nn.Embedding(c.levels, 32)
        self.context = ContextNetworks(c)
        start = torch.linspace(-1.0, 1.2, c.levels)[:, None].expand(-1, c.symbols)
        self.log_gain = nn.Parameter(start.clone())

    def gain(self, quality: Tensor) -> Tensor:
        """Gain (B, C, 1, 1) at a real-valued level (B,), geometric between the trained ones."""
        low = quality.floor().long().clamp(0, self.config.levels - 2)
        part = (quality - low)[:, None]
        return torch.exp(torch.lerp(self.log_gain[low], self.log_gain[low + 1], part)
                         )[:, :, None, None]

    def quantise(self, latent: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, 16, H, W) -> scaled y (B, C, H/4, W/4) before and after rounding."""
        scaled = self.analysis(latent) * self.gain(quality)
        scaled = scaled.clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)
        return scaled, round_through(scaled)

    def synthesise(self, symbols: Tensor, quality: Tensor) -> Tensor:
        """Symbols (B, C, h, w) -> decoded latents (B, 16, 4h, 4w)."""
        low = quality.floor().long().clamp(0, self.config.levels - 2)
        part = (quality - low)[:, None]
        condition = torch.lerp(self.level_embedding(low), self.level_embedding(low + 1), part)
        x = self.entry(symbols / self.gain(quality))
        for block in self.blocks32:
            x = block(x, condition)
        return self.exit(self.blocks8(self.up8(self.blocks16(self.up16(x)))))

    def bits(self, scaled: Tensor, symbols: Tensor, level: Tensor) -> Tensor:
        """
        Estimated bits of each picture (B,).

        The rate is taken on ``scaled`` plus uniform noise, the context on rounded symbols
        (Minnen and Singh, "Channel-wise autoregressive entropy models", 2020).
        """
        mean, scale = self.context(symbols, level)
        noisy = scaled + torch.rand_like(scaled) - 0.5 if self.training else symbols
        return normal_bits(noisy - mean, scale).sum((1, 2, 3))


def normal_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of a unit interval around ``residual`` under a zero-mean normal of that scale."""
    normal = torch.special.ndtr
    distance = residual.abs()
    probability = normal((0.5 - distance) / scale) - normal((-0.5 - distance) / scale)
    return -torch.log2(probability.clamp_min(2.0 ** -16))
