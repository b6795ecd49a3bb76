"""Metrics: identities, order and the maths of agreement and intervals."""
from __future__ import annotations

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.judges import matching, metrics
from gsc_ros.evaluation.judges.vgg import VggMetric
import numpy as np
import pytest


@pytest.fixture(scope='module')
def picture() -> np.ndarray:
    y, x = np.mgrid[:176, :192]
    planes = (np.sin(x / 9) + np.cos(y / 7), np.sin((x + y) / 13), np.cos(x * y / 900))
    return np.stack([127 + 60 * p for p in planes], -1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def vgg() -> VggMetric:
    try:
        return VggMetric()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def test_equal_pictures(picture: np.ndarray, vgg: VggMetric) -> None:
    assert metrics.psnr(picture, picture) == 100
    assert metrics.ms_ssim(picture, picture) == pytest.approx(1, abs=1e-5)
    assert vgg(picture, picture) == pytest.approx(0, abs=1e-5)


def test_psnr_value(picture: np.ndarray) -> None:
    grey = np.full_like(picture, 100)
    assert metrics.psnr(grey + 10, grey) == pytest.approx(10 * np.log10(255 ** 2 / 100))


def test_more_noise_is_worse_in_every_metric(picture: np.ndarray, vgg: VggMetric) -> None:
    light, heavy = noisy(picture, 5), noisy(picture, 40)
    assert metrics.psnr(light, picture) > metrics.psnr(heavy, picture)
    assert metrics.ms_ssim(light, picture) > metrics.ms_ssim(heavy, picture)
    assert 0 < vgg(light, picture) < vgg(heavy, picture)


def test_ms_ssim_is_that_of_the_reference_implementation(picture: np.ndarray) -> None:
    library = pytest.importorskip('pytorch_msssim')
    torch = pytest.importorskip('torch')
    other = noisy(picture, 25)
    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() for p in (other, picture))
    expected = float(library.ms_ssim(x, y, data_range=255.0))
    assert metrics.ms_ssim(other, picture) == pytest.approx(expected, abs=1e-5)


def test_vgg_metric_follows_a_new_original(picture: np.ndarray, vgg: VggMetric) -> None:
    other = noisy(picture, 30)
    assert vgg(other, picture) > 0
    assert vgg(other, other) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize('other', [np.zeros((10, 10, 3), np.uint8),
                                   np.zeros((176, 192, 3), np.float32)])
def test_unlike_pictures_are_refused(picture: np.ndarray, other: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        metrics.psnr(other, picture)


def test_ms_ssim_refuses_small_pictures() -> None:
    small = np.zeros((160, 200, 3), np.uint8)
    with pytest.raises(InvalidInputError, match='160'):
        metrics.ms_ssim(small, small)


def item(class_id: int, x0: float, x1: float, score: float = 0.9) -> SceneObject:
    return SceneObject(class_id, score, (x0, 0.2, x1, 0.8))


def test_iou() -> None:
    assert matching.box_iou((0, 0, 2, 1), (1, 0, 3, 1)) == pytest.approx(1 / 3)
    assert matching.box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert matching.box_iou((0, 0, 1, 1), (0, 0, 1, 1)) == 1


def test_agreement_counts_match_class_and_place() -> None:
    wanted = [item(0, 0.1, 0.3), item(2, 0.5, 0.9), item(2, 0.0, 0.2)]
    found = [item(0, 0.1, 0.31), item(7, 0.5, 0.9), item(2, 0.4, 0.45)]
    result = matching.agreement(found, wanted)
    assert (result.matched, result.found, result.wanted) == (1, 3, 3)
    assert result.f1 == pytest.approx(1 / 3)
    assert result.invented == result.lost == pytest.approx(2 / 3)


def test_one_original_is_matched_once() -> None:
    result = matching.agreement([item(0, 0.1, 0.3), item(0, 0.1, 0.31)], [item(0, 0.1, 0.3)])
    assert (result.matched, result.found) == (1, 2)


def test_agreement_of_nothing() -> None:
    assert matching.agreement([], []).f1 == 1
    assert matching.agreement([], [item(0, 0, 1)]).f1 == 0
    assert matching.agreement([item(0, 0, 1)], []).invented == 1
