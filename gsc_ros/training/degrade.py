"""Plain decodes to train the generator on: every coder at random rates."""
from __future__ import annotations

from dataclasses import dataclass
from math import log2

from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.hevc.alone import coded_size, MAX_QUALITY, typical_quality
from gsc_ros.codec.hevc.streams import decode_planes, encode_planes
from gsc_ros.codec.resample import enlarge, shrink
from gsc_ros.models.learned_coder import LearnedCoder
from gsc_ros.training.prior import Degraded
import numpy as np

RATES = (0.003, 0.06)       # bits per pixel aimed at, log-uniform
QUANTISERS = (40, 50)       # around what the coder takes at those rates
_FACTOR_SPREAD = 4          # either way, in sixteenths of an octave
_CROP_BYTES = 6             # start-up cost that a large picture shares out, a crop does not


class Degrader:
    """Codes a crop with HEVC or, for a share of the crops, with the learned coder."""

    def __init__(self, learned: LearnedCoder | None = None, learned_share: float = 0.25) -> None:
        self.learned = learned
        self.learned_share = learned_share if learned is not None else 0.0

    def __call__(self, crop: np.ndarray, rng: np.random.Generator) -> Degraded:
        """Encode and decode a crop (H, W, 3) uint8 at a random rate."""
        if self.learned is not None and rng.random() < self.learned_share:
            return self._learned(self.learned, crop, rng)
        return self._hevc(crop, rng)

    @staticmethod
    def _hevc(crop: np.ndarray, rng: np.random.Generator) -> Degraded:
        """One trial near what the coder's search would end at, an eighth of its time."""
        wanted = 2 ** rng.uniform(log2(RATES[0]), log2(RATES[1]))
        spread = rng.uniform(-_FACTOR_SPREAD, _FACTOR_SPREAD)
        quality = int(np.clip(round(typical_quality(wanted) + spread), 0, MAX_QUALITY))
        height, width = crop.shape[:2]
        size = coded_size(width, height, quality)
        latent = encode_planes(shrink(crop, *size), int(rng.integers(*QUANTISERS, endpoint=True)))
        plain = enlarge(decode_planes(latent, *size), width, height)
        bpp = 8 * max(len(latent) - _CROP_BYTES, 2) / (width * height)
        return Degraded(plain, bpp, CoderId.HEVC)

    @staticmethod
    def _learned(learned: LearnedCoder, crop: np.ndarray, rng: np.random.Generator) -> Degraded:
        coded = learned.encode_at(crop, int(rng.integers(learned.top_quality + 1)))
        plain = learned.decode(coded, crop.shape[1], crop.shape[0])
        return Degraded(plain, 8 * len(coded.data) / crop[..., 0].size, CoderId.LEARNED)


@dataclass(frozen=True)
class Small:
    """A coded picture at its own size, uint8 (h, w, 3) RGB, and the bits of its latent."""

    picture: np.ndarray
    bits: int


def code_small(crop: np.ndarray, size: tuple[int, int], qp: int) -> Small:
    """Shrink a crop (H, W, 3) uint8 to ``size`` (width, height), code and decode it."""
    latent = encode_planes(shrink(crop, *size), qp)
    picture = enlarge(decode_planes(latent, *size), *size)
    return Small(picture, 8 * max(len(latent) - _CROP_BYTES, 2))
