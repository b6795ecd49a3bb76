"""Intervals hold what they promise, and say nothing where they could not."""
from __future__ import annotations

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.report.intervals import Draws
import numpy as np
import pytest


def test_coverage_on_normal_samples() -> None:
    """95 % of the intervals hold the truth, but for what n=40 and 300 trials leave to chance."""
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(300):
        values = rng.normal(1.0, 2.0, (40, 1))
        draws = Draws(range(40), samples=400, seed=trial)
        interval = draws.interval(draws.means(values)[:, 0])
        held += interval.low <= 1.0 <= interval.high
    assert 0.89 < held / 300 < 0.98


def test_agrees_with_the_plain_bootstrap() -> None:
    values = np.random.default_rng(1).gamma(2, 1, 60)
    draws = Draws(range(60))
    ours = draws.interval(draws.means(values[:, None])[:, 0])
    rng = np.random.default_rng(0)
    plain = [rng.choice(values, len(values)).mean() for _ in range(1000)]
    assert ours.value == pytest.approx(values.mean())
    assert [ours.low, ours.high] == pytest.approx(np.percentile(plain, (2.5, 97.5)), abs=0.06)


def test_pictures_of_a_block_are_drawn_together() -> None:
    """Ten copies of a picture tell no more than one: the interval must not shrink."""
    values = np.random.default_rng(2).normal(0, 1, 12)
    once = Draws(range(12))
    copies = Draws([i for i in range(12) for _ in range(10)])
    wide = copies.interval(copies.means(np.repeat(values, 10)[:, None])[:, 0])
    assert copies.units == 12
    assert wide.low == pytest.approx(once.interval(once.means(values[:, None])[:, 0]).low)


def test_too_few_units_have_no_interval() -> None:
    draws = Draws(['a', 'a', 'b', 'b'])
    interval = draws.interval(draws.means(np.arange(4.)[:, None])[:, 0])
    assert interval.value == 1.5
    assert np.isnan(interval.low) and np.isnan(interval.high)
    with pytest.raises(InvalidInputError):
        Draws([])


def test_what_lies_beyond_may_be_a_limit() -> None:
    draws = Draws(range(10), samples=100)
    statistics = np.append(1.0, np.linspace(1, 2, 100))
    statistics[-10:] = np.inf
    assert draws.interval(statistics).high == np.inf
