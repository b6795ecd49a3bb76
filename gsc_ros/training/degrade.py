"""Plain decodes to train the generator on: every coder at random rates."""
from __future__ import annotations

from math import log2

from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.errors import BudgetError
from gsc_ros.codec.hevc import HevcCoder
from gsc_ros.models.learned_coder import LearnedCoder
from gsc_ros.training.prior import Degraded
import numpy as np

RATES = (0.004, 0.08)       # bits per pixel, log-uniform


class Degrader:
    """Codes a crop with HEVC or, for a share of the crops, with the learned coder."""

    def __init__(self, learned: LearnedCoder | None = None, learned_share: float = 0.25) -> None:
        self.hevc, self.learned = HevcCoder(), learned
        self.learned_share = learned_share if learned is not None else 0.0

    def __call__(self, crop: np.ndarray, rng: np.random.Generator) -> Degraded:
        """Encode and decode a crop (H, W, 3) uint8 at a random rate."""
        pixels = crop.shape[0] * crop.shape[1]
        bpp = 2 ** rng.uniform(log2(RATES[0]), log2(RATES[1]))
        use_learned = rng.random() < self.learned_share
        if use_learned and self.learned is not None:
            return self._learned(crop, int(rng.integers(self.learned.top_quality + 1)))
        # small crops carry headers that large pictures share out: allow for them
        max_bytes = int(bpp * pixels / 8) + 6
        while True:
            try:
                coded = self.hevc.encode(crop, max_bytes)
            except BudgetError as error:
                max_bytes = error.smallest
                continue
            plain = self.hevc.decode(coded, crop.shape[1], crop.shape[0])
            return Degraded(plain, bpp, CoderId.HEVC)

    def _learned(self, crop: np.ndarray, quality: int) -> Degraded:
        if self.learned is None:
            raise ValueError('no learned coder')
        coded = self.learned.encode_at(crop, quality)
        plain = self.learned.decode(coded, crop.shape[1], crop.shape[0])
        return Degraded(plain, 8 * len(coded.data) / crop[..., 0].size, CoderId.LEARNED)
