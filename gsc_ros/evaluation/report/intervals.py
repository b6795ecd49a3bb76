"""
Bootstrap over pictures, shared by everything that a report says.

One set of draws serves all codecs and rates of a comparison, so that each picture keeps its pair.
"""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from gsc_ros.codec.errors import InvalidInputError
import numpy as np

SAMPLES = 1000
# With fewer units than this an interval would look far better than it is.
MIN_UNITS = 5
_LOW, _HIGH = 2.5, 97.5


@dataclass(frozen=True)
class Interval:
    """A statistic with the limits of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]'


class Draws:
    """
    How often each picture counts in each bootstrap sample (Efron, 1979).

    Pictures of one block, a few seconds of a stream, are drawn together: they resemble each other
    (block bootstrap, Künsch, 1989).
    """

    def __init__(self, blocks: Sequence[Hashable], samples: int = SAMPLES, seed: int = 0) -> None:
        """
        Draw.

        :param blocks: the block of each picture.
        :raises InvalidInputError: if there is no picture.
        """
        if not blocks:
            raise InvalidInputError('pictures', 0, 'at least one')
        names = {block: i for i, block in enumerate(dict.fromkeys(blocks))}
        self.units = len(names)
        self._member = np.array([names[block] for block in blocks])
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(self.units, np.full(self.units, 1 / self.units), samples)
        # (1 + samples, units): first the pictures as they are, then the samples
        self._counts = np.concatenate([np.ones((1, self.units)), drawn])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """
        Add up the pictures of each sample; row 0 holds the real ones.

        :param values: (pictures, k).
        :return: (1 + samples, k).
        """
        blocks = np.zeros((self.units, values.shape[1]))
        np.add.at(blocks, self._member, values)
        return np.asarray(self._counts @ blocks)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return means likewise."""
        return np.asarray(self.sums(values) / self.sums(np.ones((len(values), 1))))

    def interval(self, statistics: np.ndarray) -> Interval:
        """
        Percentile interval of statistics (1 + samples,); open (NaN) with too few units.

        Infinite statistics stand for 'beyond what was measured' and may end up as limits.
        """
        low = high = float('nan')
        if self.units >= MIN_UNITS:
            low, high = (float(v) for v in np.percentile(
                statistics[1:], (_LOW, _HIGH), method='inverted_cdf'))
        return Interval(float(statistics[0]), low, high)
