"""Judges that were added to catch what distances forgive: grain, patterns, controls, views."""
from __future__ import annotations

from importlib.util import find_spec

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.evaluation.judges import controls, grain, ssimulacra
from gsc_ros.evaluation.judges.judge import Judge, JudgeSettings, MEASURES
from gsc_ros.evaluation.judges.registry import KINDS
from gsc_ros.evaluation.report.figures import COMPARED, HEADLINE, MEANS
import numpy as np
import pytest


@pytest.fixture(scope='module')
def sky() -> np.ndarray:
    """Make a picture that is flat to the left of a wall of bricks."""
    y, x = np.mgrid[:176, :192]
    slope = 100 + 0.2 * y + 0.1 * x
    bricks = 80 * ((x // 7 + y // 5) % 2)
    grey = np.where(x < 128, slope, bricks)
    return np.repeat(np.rint(grey)[..., None], 3, axis=2).astype(np.uint8)


def weave(picture: np.ndarray, height: float) -> np.ndarray:
    """Lay a pattern with a pitch of four pixels over a picture."""
    y, x = np.mgrid[:picture.shape[0], :picture.shape[1]]
    pattern = height * ((x % 4 == 0) ^ (y % 4 == 0))
    return (picture + pattern[..., None]).clip(0, 255).astype(np.uint8)


def test_only_flat_areas_count(sky: np.ndarray) -> None:
    flat = grain.flat_areas(sky)
    assert flat[:, 8:110].all() and not flat[:, 140:].any()
    other = sky.copy()
    other[:, 150:] = 0
    assert grain.strength(other, sky) == grain.strength(sky, sky) < 0.5


def test_white_grain_is_as_strong_as_it_was_made_and_no_pattern(sky: np.ndarray) -> None:
    noisy = controls.grainy(sky, sigma=4.0)
    # the blur keeps (70/256)^2 of the energy and 2 * (6/16)^2 of it is common to both
    kept = np.sqrt(1 - 2 * (6 / 16) ** 2 + (70 / 256) ** 2)
    assert grain.strength(noisy, sky) == pytest.approx(4 * kept, rel=0.05)
    assert grain.excess(noisy, sky) == pytest.approx(
        grain.strength(noisy, sky) - grain.strength(sky, sky))
    assert grain.excess(sky, noisy) == 0 or np.isnan(grain.excess(sky, noisy))
    assert grain.repetition(noisy, sky) < 0.1


def test_a_woven_pattern_is_found(sky: np.ndarray) -> None:
    woven = weave(sky, 3.0)
    assert grain.repetition(woven, sky) > 0.8
    assert grain.repetition(controls.grainy(woven, sigma=1.0), sky) > 0.3


def test_without_flat_areas_there_is_no_figure() -> None:
    rough = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert all(np.isnan(f(rough, rough)) for f in (grain.strength, grain.excess,
                                                   grain.repetition))
    judge = Judge(JudgeSettings(('psnr', 'grain', 'grain_pattern')))
    figures, _ = judge.judge(rough.copy(), rough)
    assert figures == {'psnr': 100, 'grain': None, 'grain_pattern': None}


def test_controls_are_what_they_say() -> None:
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert controls.nearest(small, 4, 4).tolist() == np.kron(
        small, np.ones((2, 2, 1), np.uint8)).tolist()
    grey = np.full((100, 100, 3), 128, np.uint8)
    noisy = controls.grainy(grey).astype(float)
    assert noisy[..., 0].std() == pytest.approx(3, rel=0.05)
    assert (noisy[..., 0] == noisy[..., 2]).all()
    assert (controls.grainy(grey, seed=1) != controls.grainy(grey)).any()


def test_ssimulacra2_is_100_for_equal_pictures_and_falls(sky: np.ndarray) -> None:
    if find_spec('ssimulacra2') is None:
        pytest.skip('ssimulacra2 is not installed')
    score = ssimulacra.load('cpu', 1)
    scores = [score(controls.grainy(sky, sigma=sigma), sky) for sigma in (0.0, 4.0, 30.0)]
    assert scores[0] == pytest.approx(100)
    assert scores[0] > scores[1] > scores[2]
    with pytest.raises(InvalidInputError, match='side'):
        score(sky[:4], sky[:4])


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(MissingDependencyError, match='ssimulacra2'):
        ssimulacra.check()


def test_every_judge_is_known_to_commands_and_reports() -> None:
    assert set(MEASURES) == {*KINDS, 'detection'}
    assert set(KINDS) <= set(MEANS) and all(kind.better in (1, -1) for kind in KINDS.values())
    assert {'grain', 'grain_pattern'} & set(COMPARED) == set()
    assert HEADLINE[0] == 'vgg' and KINDS['vgg'].trained_on


def test_dino_has_two_views_of_a_wide_picture(sky: np.ndarray) -> None:
    try:
        tiles, whole = (KINDS[name].load('cpu', 1) for name in ('dino', 'dino_whole'))
    except MissingDependencyError as error:
        pytest.skip(str(error))
    wide = np.concatenate([sky, sky[:, ::-1]], axis=1)
    other = controls.grainy(wide, sigma=20.0)
    assert whole(wide, wide) == pytest.approx(1, abs=1e-5)
    assert tiles(other, wide) != whole(other, wide)
