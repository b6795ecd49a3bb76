"""The decoder's grid is found, the picture is not."""
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.prior.grid import grid_pattern  # noqa: E402
from torch import Tensor  # noqa: E402


def dots(height: int, width: int, block: int = 8) -> Tensor:
    """Make a pattern of mean 0 that repeats, (1, 3, height, width)."""
    tile = torch.randn(1, 3, block, block, generator=torch.Generator().manual_seed(2)) * 0.03
    tile = tile - tile.mean((2, 3), keepdim=True)
    return tile.repeat(1, 1, height // block, width // block)


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


@pytest.mark.parametrize('size', [(96, 128), (8, 304), (304, 8), (16, 16)])
def test_a_pattern_is_found(size: tuple[int, int]) -> None:
    pattern = dots(*size)
    found = grid_pattern(pattern + 0.1, 8)
    assert found.shape == pattern.shape
    torch.testing.assert_close(found, pattern, atol=1e-5, rtol=0)


def test_one_that_fades_is_found_where_it_is() -> None:
    fade = torch.linspace(0, 1, 320)
    pattern = dots(96, 320) * fade
    assert rms(pattern - grid_pattern(pattern, 8)) < 0.15 * rms(pattern)


def test_a_slope_is_none() -> None:
    slope = torch.linspace(0, 1, 160) + torch.linspace(0, 2, 96)[:, None]
    assert float(grid_pattern(slope.expand(1, 3, 96, 160), 8).abs().max()) < 1e-4
    pattern = dots(96, 160)
    torch.testing.assert_close(grid_pattern(pattern + slope, 8), pattern, atol=1e-4, rtol=0)


def test_what_does_not_repeat_stays() -> None:
    added = torch.zeros(1, 3, 96, 128)
    added[..., 30:50, 40:47] = 1        # an object appears
    added[..., 90:] = -0.5              # an edge sharpens
    assert rms(grid_pattern(added, 8)) < 0.25 * rms(added)
    assert rms(grid_pattern(torch.zeros(1, 3, 16, 16), 8)) == 0
    assert rms(grid_pattern(dots(8, 8), 8)) == 0    # a single block


def test_low_precision_around_it_changes_nothing() -> None:
    pattern = dots(32, 48)
    with torch.autocast('cpu', torch.bfloat16):
        found = grid_pattern(pattern, 8)
    torch.testing.assert_close(found, grid_pattern(pattern, 8), rtol=0, atol=0)


def test_pictures_of_a_batch_do_not_touch() -> None:
    pattern = dots(32, 48)
    both = grid_pattern(torch.cat([pattern, 2 * pattern]), 8)
    torch.testing.assert_close(both[1:], 2 * grid_pattern(pattern, 8))


def test_a_loss_on_it_has_a_gradient() -> None:
    added = dots(32, 32).requires_grad_()
    grid_pattern(added, 8).abs().mean().backward()
    assert added.grad is not None and rms(added.grad) > 0
