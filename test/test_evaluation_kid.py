"""The distance of whole sets of pictures, and where the report shows it."""
from __future__ import annotations

from typing import Any

from evaluation_rows import still_rows
from gsc_ros.evaluation.judges.kid import kernel_distance, LEAST, pack_features, unpack_features
from gsc_ros.evaluation.report.rows import tracks
from gsc_ros.evaluation.report.tables import summarise
import numpy as np
import pytest

DIMENSIONS = 16


def features(count: int, seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.2, (count, DIMENSIONS))


def test_pairs_of_one_distribution_are_at_no_distance() -> None:
    """Unbiased: the mean of many small sets is zero, though each picture resembles its own."""
    found = []
    for seed in range(200):
        sources = features(20, seed)
        found.append(kernel_distance(sources + 0.1 * features(20, seed + 1000), sources))
    assert abs(np.mean(found)) < 3 * np.std(found) / len(found) ** 0.5 + 1e-3
    assert min(found) < 0 < max(found)


def test_it_is_the_closed_form_of_two_points() -> None:
    """Sets without spread: k(x, x) + k(y, y) - 2 k(x, y)."""
    x, y = np.tile([1.0, 0.0], (5, 1)), np.tile([0.6, 0.8], (5, 1))
    assert kernel_distance(x, y) == pytest.approx(8 + 8 - 2 * 1.6 ** 3)


def test_more_change_is_farther() -> None:
    sources = features(100, 0)
    near, far = (kernel_distance(features(100, 1, mean), sources) for mean in (0.05, 0.2))
    assert 0 < near < far


def test_features_survive_a_row() -> None:
    vector = features(1, 3)[0]
    assert np.allclose(unpack_features(pack_features(vector)), vector, atol=1e-3)


def with_features(pictures: int) -> list[dict[str, Any]]:
    rows = still_rows(pictures)
    for row in rows:
        number = int(row['input'].split('/')[1])
        vector = features(1, number)[0] + (0.3 if row['codec'] == 'webp' else 0.0)
        row['features'] = pack_features(vector)
    return rows


def test_the_report_has_it_for_large_sets() -> None:
    found = summarise(tracks(with_features(LEAST)))['bpp']['all']['rates']['0.01']
    assert abs(found['gsc']['figures']['kid']['value']) < 1   # the same features: zero
    assert found['webp']['figures']['kid']['value'] > 10
    few = summarise(tracks(with_features(LEAST - 1)))['bpp']['all']['rates']['0.01']
    assert 'kid' not in few['gsc']['figures']
