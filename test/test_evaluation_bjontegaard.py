"""Bjøntegaard deltas of curves whose distance is known, and refusals instead of guesses."""
from __future__ import annotations

from random import Random

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.report import bjontegaard
from gsc_ros.evaluation.report.bjontegaard import curve, CurveError
from gsc_ros.evaluation.report.pchip import Pchip
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

RATES = np.array([0.005, 0.01, 0.02, 0.04])
QUALITIES = np.array([18.9, 20.2, 21.6, 23.1])
OURS = curve(RATES, QUALITIES)


@given(st.floats(0.4, 2.5))
@settings(max_examples=30, deadline=None)
def test_rate_scaled_curve_has_that_bd_rate(factor: float) -> None:
    other = curve(RATES * factor, QUALITIES)
    assert bjontegaard.bd_rate(OURS, other) == pytest.approx(factor - 1)
    assert bjontegaard.bd_rate(other, OURS) == pytest.approx(1 / factor - 1)


@given(st.integers(2, 7), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings('ignore::RuntimeWarning')     # scipy divides by tiny slopes
def test_interpolation_is_scipys(count: int, random: Random) -> None:
    interpolate = pytest.importorskip('scipy.interpolate')
    x = np.cumsum([random.uniform(0.1, 3) for _ in range(count)])
    y = [random.uniform(-5, 5) for _ in range(count)]
    ours, theirs = Pchip(x, y), interpolate.PchipInterpolator(x, y)
    inside = [random.uniform(x[0], x[-1]) for _ in range(10)]
    for at in [*x, *inside]:
        assert ours(at) == pytest.approx(float(theirs(at)), abs=1e-9)
    low, high = sorted(inside[:2])
    assert ours.integrate(low, high) == pytest.approx(float(theirs.integrate(low, high)), abs=1e-9)


@given(st.floats(-2, 2))
@settings(max_examples=30, deadline=None)
def test_raised_curve_has_that_bd_quality(gain: float) -> None:
    other = curve(RATES, QUALITIES + gain)
    assert bjontegaard.bd_quality(OURS, other) == pytest.approx(gain)


def test_only_the_shared_range_counts() -> None:
    """Twice the rate on the upper half; the lower half of ours has no counterpart."""
    other = curve(RATES[2:] * 2, QUALITIES[2:])
    line = curve(RATES, np.log(RATES))     # PCHIP is exact on lines
    assert bjontegaard.bd_rate(line, curve(2 * RATES[2:], np.log(RATES[2:]))) \
        == pytest.approx(1)
    share = (QUALITIES[3] - QUALITIES[2]) / (QUALITIES[3] - QUALITIES[0])
    assert bjontegaard.shared_quality(OURS, other) == pytest.approx(share)


def test_curves_apart_are_refused() -> None:
    far = curve(RATES, QUALITIES - 10)
    with pytest.raises(CurveError, match='no range of quality'):
        bjontegaard.bd_rate(OURS, far)
    assert bjontegaard.shared_quality(OURS, far) == 0
    with pytest.raises(CurveError, match='no range of rate'):
        bjontegaard.bd_quality(OURS, curve(RATES * 100, QUALITIES))


def test_a_smallest_file_under_two_ceilings_is_one_point() -> None:
    same = curve(np.array([0.02, 0.02, 0.04]), np.array([17., 17., 18.]))
    assert same.rates.tolist() == [0.02, 0.04]


@pytest.mark.parametrize(('rates', 'qualities', 'error'), [
    ([0.01, 0.02], [3, 2], CurveError), ([0.01, 0.02], [2, 2], CurveError),
    ([0.01, 0.01], [2, 3], CurveError), ([0.01], [2], CurveError),
    ([0, 0.01], [2, 3], InvalidInputError), ([0.01, 0.02], [2, np.nan], InvalidInputError)])
def test_what_is_no_curve_is_refused(rates: list[float], qualities: list[float],
                                     error: type[Exception]) -> None:
    with pytest.raises(error):
        curve(np.array(rates), np.array(qualities))


def test_rate_for_a_quality_or_a_bound() -> None:
    assert bjontegaard.rate_for(OURS, 20.2) == bjontegaard.Bound(pytest.approx(0.01), 0)
    assert bjontegaard.rate_for(OURS, 30) == bjontegaard.Bound(0.04, 1)
    assert bjontegaard.rate_for(OURS, 3) == bjontegaard.Bound(0.005, -1)
    line = curve(np.array([1, 4]), np.array([0, 1]))
    assert bjontegaard.rate_for(line, 0.5).rate == pytest.approx(2)
