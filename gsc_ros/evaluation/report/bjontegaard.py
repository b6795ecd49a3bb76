"""
How far one rate curve lies from another, as a change of rate or of quality.

Bjøntegaard, "Calculation of average PSNR differences between RD-curves" (VCEG-M33, 2001), with
piecewise cubic Hermite interpolation (Fritsch and Carlson, 1980) in place of one polynomial, as
the video groups of ITU-T and ISO have done since (HSTP-VID-WPOM, 2020). Nothing is extrapolated.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
import math

from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.evaluation.report.pchip import Pchip
import numpy as np


class CurveError(GscError):
    """Two curves cannot be compared; says why."""


@dataclass(frozen=True)
class Curve:
    """
    Quality at some rates, (n,) float each; make it with ``curve``.

    Both increase strictly; quality is larger for better pictures (a distance is negated).
    """

    rates: np.ndarray
    qualities: np.ndarray

    @cached_property
    def log_rate(self) -> Pchip:
        """Logarithm of the rate by quality."""
        return Pchip(self.qualities.tolist(), np.log(self.rates).tolist())

    @cached_property
    def quality(self) -> Pchip:
        """Quality by the logarithm of the rate."""
        return Pchip(np.log(self.rates).tolist(), self.qualities.tolist())


def curve(rates: np.ndarray, qualities: np.ndarray) -> Curve:
    """
    Sort by rate; points that repeat (a smallest file under several ceilings) count once.

    :param rates: (n,), above 0; any unit, the same for both curves.
    :param qualities: (n,), larger is better.
    :raises InvalidInputError: if a rate is not above 0 or a number is not finite.
    :raises CurveError: if fewer than two points remain, or if more rate is not better.
    """
    points = np.stack([rates, qualities], 1).astype(np.float64)
    if not np.isfinite(points).all() or not (points[:, 0] > 0).all():
        raise InvalidInputError('points of a rate curve', points.tolist(), 'finite, rates above 0')
    points = points[np.lexsort(points.T[::-1])]
    points = points[np.append(True, np.diff(points, axis=0).any(1))]
    if len(points) < 2:
        raise CurveError('a curve needs two rates')
    if not (np.diff(points, axis=0) > 0).all():
        raise CurveError('quality does not grow with rate')
    return Curve(points[:, 0], points[:, 1])


def bd_rate(reference: Curve, other: Curve) -> float:
    """
    Mean change of rate from ``reference`` to ``other`` at equal quality: 0.3 is 30 % more.

    Mean over the range of quality that both curves reach, in the logarithm of the rate.

    :raises CurveError: if they share no range.
    """
    return math.expm1(_mean_gap(reference.log_rate, other.log_rate, 'quality'))


def bd_quality(reference: Curve, other: Curve) -> float:
    """
    Mean change of quality from ``reference`` to ``other`` at equal rate, in quality's unit.

    :raises CurveError: if they share no range of rates.
    """
    return _mean_gap(reference.quality, other.quality, 'rate')


def _mean_gap(reference: Pchip, other: Pchip, axis: str) -> float:
    low, high = max(reference.x[0], other.x[0]), min(reference.x[-1], other.x[-1])
    if not low < high:
        raise CurveError(f'the curves share no range of {axis}')
    gap = other.integrate(low, high) - reference.integrate(low, high)
    return gap / (high - low)


def shared_quality(reference: Curve, other: Curve) -> float:
    """Share of the reference's range of quality that the other curve reaches too, 0..1."""
    low = max(reference.qualities[0], other.qualities[0])
    high = min(reference.qualities[-1], other.qualities[-1])
    return float(max(0.0, high - low) / (reference.qualities[-1] - reference.qualities[0]))


@dataclass(frozen=True)
class Bound:
    """
    A rate that a curve needs.

    ``side`` is 0 where ``rate`` is that rate, 1 where even ``rate``, the curve's highest, is not
    enough, -1 where ``rate``, its lowest, is more than enough.
    """

    rate: float
    side: int


def rate_for(other: Curve, quality: float) -> Bound:
    """Rate at which a curve reaches a quality, in the logarithm; a bound where it does not."""
    if quality > other.qualities[-1]:
        return Bound(float(other.rates[-1]), 1)
    if quality < other.qualities[0]:
        return Bound(float(other.rates[0]), -1)
    return Bound(math.exp(other.log_rate(quality)), 0)
