"""Regions of interest get the bytes that a smooth background saves."""
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
import numpy as np
import pytest

LEFT = (0.0, 0.0, 0.4, 1.0)


def textured(width: int = 320, height: int = 240) -> np.ndarray:
    """Waves of many frequencies all over, seeded."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    waves = sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-0.7, 0.7, (24, 3)))
    grey = np.clip(128 + 18 * waves, 0, 255)
    return np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2).astype(np.uint8)


def error(first: np.ndarray, second: np.ndarray, columns: slice) -> float:
    return float(np.square(first[:, columns].astype(float) - second[:, columns]).mean())


def planes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    luma = textured()[..., 0]
    return luma, luma[::2, ::2].copy(), luma[1::2, 1::2].copy()


def test_the_region_is_sharper_at_the_same_bytes() -> None:
    picture, coder = textured(), HevcCoder()
    even, led = (coder.decode(coder.encode(picture, 900, focus), 320, 240)
                 for focus in (NOWHERE, Focus([LEFT])))
    assert error(led, picture, slice(0, 128)) < 0.97 * error(even, picture, slice(0, 128))
    assert error(led, picture, slice(192, None)) > error(even, picture, slice(192, None))


def test_samples_inside_stay_and_no_seam_shows() -> None:
    before, after = planes(), Focus([LEFT], 2.0).smooth_outside(planes())
    for sharp, smooth in zip(before, after, strict=True):
        edge = int(0.44 * sharp.shape[1])
        assert smooth.dtype == np.uint8 and smooth.shape == sharp.shape
        np.testing.assert_array_equal(smooth[:, :edge - 8], sharp[:, :edge - 8])
        assert smooth[:, edge + 8:].std() < sharp[:, edge + 8:].std()
    steps = np.abs(np.diff(after[0].astype(int), axis=1)).mean(0)
    assert steps[130:150].max() <= np.abs(np.diff(before[0].astype(int), axis=1)).mean(0).max()


def smoothed(plane: np.ndarray, deviation: float) -> np.ndarray:
    """Convolve with a Gaussian whose rows and columns are written out, to 4 deviations."""
    reach = int(np.ceil(4 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(plane.astype(float), reach, 'reflect')
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), 'valid')
    return padded


def test_chroma_is_smoothed_by_half_the_deviation() -> None:
    """A chroma sample is as wide as two of luma: 2 coded pixels are 1 sample of it."""
    after = Focus([LEFT], 2.0).smooth_outside(planes())
    for sharp, smooth, deviation in zip(planes(), after, (2.0, 1.0, 1.0), strict=True):
        outside = np.s_[8:-8, int(0.6 * sharp.shape[1]):-8]
        np.testing.assert_allclose(smooth[outside], smoothed(sharp, deviation)[outside], atol=1)


def test_chroma_keeps_the_region_of_luma() -> None:
    """The region, widened by a tenth of its size, lies at the same place in all three planes."""
    after = Focus([(0.5, 0.25, 1.0, 0.5)], 0.8).smooth_outside(planes())
    for sharp, smooth in zip(planes(), after, strict=True):
        height, width = sharp.shape
        top, bottom, left = int(0.225 * height), int(0.525 * height), int(0.45 * width)
        changed = sharp != smooth
        assert not changed[top + 4:bottom - 4, left + 4:].any()
        for outside in (changed[:top - 4], changed[bottom + 4:], changed[:, :left - 4]):
            assert outside.mean() > 0.5


@pytest.mark.parametrize('focus', [
    NOWHERE, Focus([LEFT], 0.0), Focus([(0.0, 0.0, 1.0, 1.0)]),
    Focus([(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)])],
    ids=['no region', 'no strength', 'everything', 'everything in parts'])
def test_nothing_to_do(focus: Focus) -> None:
    given = planes()
    assert focus.smooth_outside(given) is given


@pytest.mark.parametrize('size', [(16, 16), (16, 4096), (100, 17)])
@pytest.mark.parametrize('region', [(0.0, 0.0, 1e-9, 1e-9), (0.999, 0.999, 1.0, 1.0), LEFT])
def test_any_size_and_region(size: tuple[int, int], region: tuple[float, ...]) -> None:
    picture = textured(*size)
    HevcCoder().encode(picture, 4000, Focus([region], 8.0))  # type: ignore[list-item]


@pytest.mark.parametrize('region', [
    (0.5, 0.0, 0.5, 1.0), (0.0, 0.0, 1.1, 1.0), (-0.1, 0.0, 1.0, 1.0),
    (0.0, float('nan'), 1.0, 1.0), (0.9, 0.0, 0.1, 1.0)])
def test_a_bad_region_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidInputError, match='region'):
        Focus([LEFT, region])


@pytest.mark.parametrize('strength', [-1.0, 9.0, float('nan')])
def test_a_bad_strength_is_refused(strength: float) -> None:
    with pytest.raises(InvalidInputError, match='strength'):
        Focus([LEFT], strength)


def test_objects_lead_unless_told_otherwise() -> None:
    picture, encoder = textured(), SemanticEncoder('hevc')
    item = SceneObject(2, 0.9, LEFT)
    led = encoder.encode(picture, 900, objects=[item])
    even = encoder.encode(picture, 900, objects=[item], focus=NOWHERE)
    shown = [SemanticDecoder().decode(data, generate=False).plain for data in (led, even)]
    assert error(shown[0], picture, slice(0, 128)) < error(shown[1], picture, slice(0, 128))
