"""The decoder's grid goes, the picture stays."""
from gsc_ros.models.grid import without_grid
import numpy as np
import pytest


def scene(height: int = 96, width: int = 130) -> np.ndarray:
    """Make a smooth picture, uint8."""
    y, x = np.mgrid[:height, :width]
    grey = 120 + 50 * np.sin(x / 17) * np.cos(y / 13)
    return np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2).astype(np.uint8)


def dots(shape: tuple[int, ...], block: int = 8) -> np.ndarray:
    """Make a pattern of mean 0 that repeats, float."""
    tile = np.random.default_rng(2).normal(0, 4, (block, block, 3))
    tile -= tile.mean((0, 1))
    return np.tile(tile, (-(-shape[0] // block), -(-shape[1] // block), 1))[:shape[0], :shape[1]]


def rms(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sqrt(np.square(first.astype(float) - second).mean()))


@pytest.mark.parametrize('size', [(96, 128), (96, 130), (37, 41)])
def test_a_pattern_goes(size: tuple[int, int]) -> None:
    plain = scene(*size)
    made = np.clip(np.rint(plain + dots(plain.shape)), 0, 255).astype(np.uint8)
    cleaned = without_grid(made, plain, 8)
    assert cleaned.dtype == np.uint8 and cleaned.shape == made.shape
    assert rms(made, plain) > 3.5
    assert rms(cleaned, plain) < 1


def test_what_does_not_repeat_stays() -> None:
    plain = scene()
    made = plain.copy()
    made[30:50, 40:47] = 250            # an object appears
    made[:, 90:] //= 2                  # an edge sharpens
    assert rms(without_grid(made, plain, 8), made) < 0.25 * rms(made, plain)
    np.testing.assert_array_equal(without_grid(plain, plain, 8), plain)


@pytest.mark.parametrize('size', [(16, 16), (16, 300), (1, 1)])
def test_small_pictures(size: tuple[int, int]) -> None:
    plain = scene(*size)
    assert without_grid(255 - plain, plain, 8).shape == plain.shape
