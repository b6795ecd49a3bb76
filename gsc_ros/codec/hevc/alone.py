"""
A picture on its own: H.265 intra at the downscale factor and quantiser that fill its bytes.

docs/BITSTREAM.md, section 6, has the byte layout and what the rules were measured on.
"""
from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2, sqrt

from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import BudgetError, PacketError
from gsc_ros.codec.hevc.headers import MAX_QP
from gsc_ros.codec.hevc.streams import encode_planes, estimate_bytes
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.codec.resample import Planes, shrink
import numpy as np

# Downscale factors of one octave in 64ths, 2 ** (k / 16): step k of the next octave is twice step
# k of this one. The packet's quality counts the steps from factor 1 on.
_OCTAVE = (64, 67, 70, 73, 76, 79, 83, 87, 91, 95, 99, 103, 108, 112, 117, 123)
_STEPS_PER_OCTAVE = len(_OCTAVE)
MAX_QUALITY = 6 * _STEPS_PER_OCTAVE     # factor 64
MIN_QP = 10                 # below it bytes buy nothing that the eye sees
# Where the search starts; it corrects what is wrong. A typical picture is best shrunk by this
# factor at one bit per pixel, by the inverse root of the rate elsewhere; so many steps of the
# factor, or of the quantiser, halve the bytes.
_TYPICAL_FACTOR = 0.29
_STEPS_PER_HALVING = 10
_QP_PER_HALVING = 6
_FULL = 0.95                # share of the bytes from which no finer factor is tried
_NO_FINER = 0.93            # nor a finer quantiser
_UNIT = 8                   # coded sides are multiples of the smallest coding unit
_MIN_CODED = 16


def coded_size(width: int, height: int, quality: int) -> tuple[int, int]:
    """
    Width and height of the coded picture, multiples of 8 from 16 on.

    :raises PacketError: if ``quality`` is above ``MAX_QUALITY``.
    """
    if not 0 <= quality <= MAX_QUALITY:
        raise PacketError('quality', quality, f'0..{MAX_QUALITY}')
    octave, step = divmod(quality, _STEPS_PER_OCTAVE)
    unit = _UNIT * _OCTAVE[step] << octave
    coded = [max(_MIN_CODED, _UNIT * ((_OCTAVE[0] * side + unit // 2) // unit))
             for side in (width, height)]
    return coded[0], coded[1]


def _sizing_qp(bpp: float) -> int:
    """
    Quantiser that a picture of so many bits per source pixel is shrunk for.

    With a finer one the shrinking costs more than it saves, with a coarser one blocks show: VGG
    distance and PSNR on training pictures, with the figures in docs/BITSTREAM.md, section 6.
    """
    return min(max(round(46 - 2 * log2(bpp / 0.02)), 40), 50)


def typical_quality(bpp: float) -> float:
    """Quality, not rounded, that a typical picture of so many bits per source pixel ends at."""
    return _STEPS_PER_OCTAVE * log2(_TYPICAL_FACTOR / sqrt(bpp))


class Trials:
    """Latents of one picture at several factors and quantisers, each made once."""

    def __init__(self, picture: np.ndarray, max_bytes: int, focus: Focus = NOWHERE) -> None:
        self.picture, self.max_bytes, self._focus = picture, max_bytes, focus
        self.height, self.width = picture.shape[:2]
        self.bpp = 8 * max(max_bytes, 1) / (self.width * self.height)
        self._planes: dict[tuple[int, int], Planes] = {}
        self._focused: dict[tuple[int, int], Planes] = {}
        self._latents: dict[tuple[tuple[int, int], int], bytes] = {}

    def planes(self, quality: int) -> Planes:
        """4:2:0 planes of the picture, shrunk."""
        size = coded_size(self.width, self.height, quality)
        if size not in self._planes:
            self._planes[size] = shrink(self.picture, *size)
        return self._planes[size]

    def focused(self, quality: int) -> Planes:
        """Those planes as they are coded: with a smooth background."""
        size = coded_size(self.width, self.height, quality)
        if size not in self._focused:
            self._focused[size] = self._focus.smooth_outside(self.planes(quality))
        return self._focused[size]

    def latent(self, quality: int, qp: int) -> bytes:
        """Latent of the picture on its own."""
        size = coded_size(self.width, self.height, quality)
        if (size, qp) not in self._latents:
            self._latents[size, qp] = encode_planes(self.focused(quality), qp)
        return self._latents[size, qp]

    def best(self) -> Coded:
        """
        Return the picture at the finest downscale factor that fits with a coarse quantiser.

        Where that is the first or the last factor, the finest quantiser is taken that fits.

        :raises BudgetError: if nothing fits.
        """
        qp = _sizing_qp(self.bpp)
        quality = _finest_factor(self, qp)
        qp = _finest_quantiser(self, quality, qp)
        return Coded(quality, self.latent(quality, qp))

    def fill(self, quality: int, qp: int) -> float:
        """Bytes as a share of what is allowed: it fits up to 1."""
        return len(self.latent(quality, qp)) / max(self.max_bytes, 0.5)


def finest(fill: Callable[[int], float], first: int, beyond: int, start: int, *,
           per_halving: int, enough: float) -> int:
    """
    Find the first of the steps ``first`` to ``beyond`` - 1 that fits; ``beyond`` if none does.

    Each trial predicts where the next must be, as ``per_halving`` steps are taken to halve the
    bytes. A step that fills more than ``enough`` ends the search.
    """
    too_long, fits, step = first - 1, beyond, start
    while too_long + 1 < fits:
        step = min(max(step, too_long + 1), fits - 1)
        share = fill(step)
        if share > 1:
            too_long = step
        else:
            fits = step
            if share > enough:
                break
        step += ceil(per_halving * log2(share))
    return fits


def _finest_factor(trials: Trials, qp: int) -> int:
    """Quality of the finest picture that fits at ``qp``; the last one if none is found to."""
    return finest(lambda quality: trials.fill(quality, qp), 0, MAX_QUALITY,
                  _likely_factor(trials, qp), per_halving=_STEPS_PER_HALVING, enough=_FULL)


def _likely_factor(trials: Trials, qp: int) -> int:
    """Quality at which the picture is expected to fill its bytes."""
    typical = min(max(round(typical_quality(trials.bpp)), 0), MAX_QUALITY)
    share = estimate_bytes(trials.focused(typical), qp) / max(trials.max_bytes, 0.5)
    return typical + ceil(_STEPS_PER_HALVING * log2(share))


def _finest_quantiser(trials: Trials, quality: int, qp: int) -> int:
    """
    Lowest quantiser that fits, searched from ``qp`` on.

    :raises BudgetError: if none does.
    """
    qp = finest(lambda step: trials.fill(quality, step), MIN_QP, MAX_QP + 1, qp,
                per_halving=_QP_PER_HALVING, enough=_NO_FINER)
    if qp > MAX_QP:
        raise BudgetError(trials.max_bytes, len(trials.latent(quality, MAX_QP)))
    return qp
