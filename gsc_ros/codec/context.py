"""
The staged context model of the learned coder, in exact integer arithmetic.

It predicts mean and scale of every latent symbol from symbols that are already decoded: four
spatial phases (a 2x2 grid, after the multistage context model of Lu et al., 2022) times channel
groups. Weights and activations are integers; sums stay below 2**53, so float64 matrix
products are exact and every machine picks the same frequency table.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gsc_ros.codec.entropy import Decoder, encode, Tables
from gsc_ros.codec.errors import PacketError
import numpy as np

SYMBOL_LIMIT = 15           # symbols are -15..15
SCALE_LEVELS = 32           # table rows per mean offset
MEAN_STEPS = 8              # mean is predicted in eighths
WEIGHT_BITS = 12            # fixed point of the weights
ACTIVATION_BITS = 6         # fixed point of the hidden activations
_ACTIVATION_LIMIT = 2.0 ** 20
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
REACH = 2 * SYMBOL_LIMIT    # a residual to an integer mean is -30..30
_TABLES_FILE = Path(__file__).parent / 'context_tables.npz'


def scale_of_level(level: np.ndarray | float) -> np.ndarray:
    """Give the standard deviation of a scale level: 0.11 to 12, geometric."""
    return 0.11 * (12 / 0.11) ** (np.asarray(level, np.float64) / (SCALE_LEVELS - 1))


@cache
def frequency_tables() -> Tables:
    """
    Read the stored integer frequencies of a rounded normal residual to an integer mean.

    One row per (scale level, mean offset); ``training/context_tables.py`` made the file.
    """
    with np.load(_TABLES_FILE) as file:
        return Tables(file['frequencies'])


@dataclass(frozen=True)
class ContextWeights:
    """
    Integer weights of one network per stage, as float64 arrays that hold integers.

    ``first[s]`` (9 C, H), ``bias[s]`` (levels, H), ``second[s]`` (H + 1, H) and ``third[s]``
    (H + 1, 2 C / groups); the last row of the latter two is the bias.
    """

    channels: int
    groups: int
    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray
    third: np.ndarray

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ContextWeights:
        """Build from the integer arrays of a checkpoint."""
        first, bias, second, third = (arrays[f'context.{name}'].astype(np.float64)
                                      for name in ('first', 'bias', 'second', 'third'))
        return cls(first.shape[1] // 9, len(first) // len(PHASES), first, bias, second, third)


def _relu(x: np.ndarray, shift: int) -> np.ndarray:
    return np.clip(np.floor(x / 2.0 ** shift), 0, _ACTIVATION_LIMIT)


class ContextModel:
    """Codes a block of latent symbols (C, h, w) int with a table chosen per symbol."""

    def __init__(self, weights: ContextWeights) -> None:
        self.weights = weights
        self.tables = frequency_tables()

    def encode(self, symbols: np.ndarray, level: int) -> bytes:
        """Symbols (C, h, w), each within -15..15, at a quality level -> bytes."""
        known = np.zeros(symbols.shape, np.float64)
        parts = []
        for stage, where in self._stages(symbols.shape):
            mean, rows = self._predict(known, stage, where, level)
            values = symbols[where].reshape(-1)
            parts.append((values - mean + REACH, rows))
            known[where] = symbols[where]
        return encode(parts, self.tables)

    def decode(self, data: bytes, height: int, width: int, level: int) -> np.ndarray:
        """
        Bytes -> symbols (C, height, width) int64.

        :raises PacketError: if a residual points outside the range of symbols.
        """
        known = np.zeros((self.weights.channels, height, width), np.float64)
        decoder = Decoder(data, self.tables)
        for stage, where in self._stages(known.shape):
            mean, rows = self._predict(known, stage, where, level)
            values = decoder.read(rows) - REACH + mean
            if np.abs(values).max(initial=0) > SYMBOL_LIMIT:
                raise PacketError('latent symbol', int(np.abs(values).max()), SYMBOL_LIMIT)
            known[where] = values.reshape(known[where].shape)
        return known.astype(np.int64)

    def _stages(self, shape: tuple[int, ...]) -> Iterator[tuple[int, tuple[slice, slice, slice]]]:
        size = self.weights.channels // self.weights.groups
        for phase, (row, column) in enumerate(PHASES):
            if row < shape[1] and column < shape[2]:
                for group in range(self.weights.groups):
                    yield phase * self.weights.groups + group, (
                        slice(group * size, (group + 1) * size), slice(row, None, 2),
                        slice(column, None, 2))

    def _predict(self, known: np.ndarray, stage: int, where: tuple[slice, slice, slice],
                 level: int) -> tuple[np.ndarray, np.ndarray]:
        """Integer means and table rows, both flat in (channel, row, column) order."""
        w = self.weights
        padded = np.pad(known, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (3, 3), axis=(1, 2))  # type: ignore[call-overload]
        patches = windows[:, where[1], where[2]].transpose(1, 2, 0, 3, 4)
        patches = patches.reshape(-1, w.channels * 9)
        hidden = _relu(patches @ w.first[stage] + w.bias[stage, level],
                       WEIGHT_BITS - ACTIVATION_BITS)
        hidden = _relu(hidden @ w.second[stage, :-1] + w.second[stage, -1], WEIGHT_BITS)
        out = hidden @ w.third[stage, :-1] + w.third[stage, -1]
        unit = 2.0 ** (WEIGHT_BITS + ACTIVATION_BITS)
        mean8, scale = np.split(out.T, 2)
        mean8 = np.floor(mean8 * MEAN_STEPS / unit + 0.5)
        mean8 = np.clip(mean8, -SYMBOL_LIMIT * MEAN_STEPS, SYMBOL_LIMIT * MEAN_STEPS)
        scale = np.clip(np.floor(scale / unit + 0.5), 0, SCALE_LEVELS - 1)
        mean = np.floor(mean8 / MEAN_STEPS + 0.5)
        offset = np.minimum(mean8 - mean * MEAN_STEPS + MEAN_STEPS // 2, MEAN_STEPS - 1)
        rows = scale * MEAN_STEPS + offset
        return mean.reshape(-1).astype(np.int64), rows.reshape(-1).astype(np.int64)
