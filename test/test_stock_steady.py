"""A still scene stays still: what was made of the last picture serves the next."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from gsc_ros.evaluation.judges.flicker import flicker
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.prior.embedded import FlowPrior  # noqa: E402
from gsc_ros.prior.generator import Generator, load_prior  # noqa: E402
from gsc_ros.prior.steady import LastPicture, Making, STILL  # noqa: E402

SHAPE = (64, 96)
ALL = np.ones(SHAPE, bool)


def clip(count: int = 4) -> list[np.ndarray]:
    """Show a still scene to a noisy sensor."""
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(40, 215, (8, 12, 3)), np.ones((8, 8, 1)))
    return [(scene + rng.normal(0, 2, scene.shape)).clip(0, 255).astype(np.uint8)
            for _ in range(count)]


def regenerate(prior: FlowPrior, plain: np.ndarray, **changed: Any) -> np.ndarray:
    given = {'bpp': 0.01, 'coder': 2, 'caption': '', 'objects': [], 'seed': 1} | changed
    return Generator(prior).regenerate(plain, **given)


def making(prior: FlowPrior, **changed: Any) -> Making:
    """Tell how ``regenerate`` makes pictures."""
    return replace(Making(1, prior.running.steps, 0.01), **changed)


def mean_flicker(pictures: list[np.ndarray]) -> float:
    pairs = zip(pictures[:-1], pictures[1:], strict=True)
    return float(np.mean([flicker(pair, ALL) for pair in pairs]))


@pytest.fixture(scope='module', params=['embedded', 'stock'])
def prior(request: pytest.FixtureRequest) -> FlowPrior:
    if request.param == 'embedded':
        return load_prior()
    pytest.importorskip('diffusers')
    from gsc_ros.prior.stock.families import FAMILIES
    from gsc_ros.prior.stock.prior import StockPrior
    import stock_models
    pipe = stock_models.tiny('FluxPipeline')
    return StockPrior(FAMILIES['FluxPipeline'](pipe, torch.float32))


def test_warm_start_takes_the_flicker_out_of_a_still_scene(prior: FlowPrior) -> None:
    frames, last = clip(), LastPicture()
    cold = mean_flicker([regenerate(prior, f) for f in frames])
    warm = mean_flicker([regenerate(prior, f, last=last) for f in frames])
    camera = mean_flicker(frames)
    print(f'flicker in grey levels: camera {camera:.2f}, cold {cold:.2f}, warm {warm:.2f}')
    assert warm == 0 and cold > 0.1


def test_what_moves_is_made_anew_and_the_rest_stays(prior: FlowPrior) -> None:
    first, last = clip(1)[0], LastPicture()
    moved = first.copy()
    moved[:16, :16] = 255 - moved[:16, :16]
    before = regenerate(prior, first, last=last)
    kept = last.clean
    assert kept is not None
    after = regenerate(prior, moved, last=last)
    change = np.abs(after.astype(int) - before)
    assert change[:16, :16].mean() > 5 * change[32:, 48:].mean() and change[:16, :16].max() > 0
    assert last.clean is not None
    # the far corner of the latent is the very same
    assert torch.equal(last.clean[..., -2:, -4:], kept[..., -2:, -4:])
    assert not torch.equal(last.clean[..., :2, :2], kept[..., :2, :2])


def test_slow_changes_add_up_until_they_are_seen(prior: FlowPrior) -> None:
    last, level = LastPicture(), 100
    stays = []
    for step in range(0, 16, 3):
        plain = np.full((*SHAPE, 3), level + step, np.uint8)
        tensor = torch.full((1, 3, *SHAPE), (level + step) / 127.5 - 1)
        held = last.still(tensor, making(prior))
        stays.append(held is not None and bool(held.all()))
        regenerate(prior, plain, last=last)
    assert stays[1] and not all(stays[1:]) and STILL < 15


def test_another_seed_size_or_rate_starts_afresh(prior: FlowPrior) -> None:
    last = LastPicture()
    plain = clip(1)[0]
    regenerate(prior, plain, last=last)
    assert last.still(torch.zeros(1, 3, 64, 64), making(prior)) is None
    same = torch.from_numpy(plain).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert last.still(same, making(prior)) is not None
    for other in ({'seed': 2}, {'steps': 9}, {'bpp': 0.02}):
        assert last.still(same, making(prior, **other)) is None
    assert last.still(same, making(prior, bpp=0.005)) is not None


def test_what_was_refined_is_shown(prior: FlowPrior) -> None:
    """A still scene that comes finer, by less than what counts as a change."""
    coarse, last = clip(1)[0], LastPicture()
    finer = np.clip(coarse.astype(int) + 3, 0, 255).astype(np.uint8)
    first = regenerate(prior, coarse, last=last)
    np.testing.assert_array_equal(regenerate(prior, finer, last=last), first)
    assert (regenerate(prior, finer, last=last, bpp=0.02) != first).any()
