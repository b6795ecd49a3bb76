"""The gate for new weights: verdicts on made figures with known answers."""
from __future__ import annotations

from gsc_ros.evaluation.gate import compare, passes, played_to, table, Verdict
from gsc_ros.evaluation.report.intervals import Interval
import numpy as np
import pytest


def rows(psnr: float, vgg: float, matched: int, pictures: int = 20) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    return [{'psnr': psnr + own, 'vgg': vgg + own, 'grain': 1.0, 'grain_excess': float('nan'),
             'yolo:matched': matched, 'yolo:found': 10, 'yolo:wanted': 10}
            for own in rng.normal(0, 1, pictures)]


def test_paired_differences_are_found_however_pictures_differ() -> None:
    names = [str(i // 2) for i in range(20)]
    verdicts = {v.judge: v for v in compare(rows(25, 3, 4), rows(25.1, 3.1, 6), names,
                                            ['yolo'], ['psnr'])}
    assert set(verdicts) == {'psnr', 'vgg', 'F1 yolo'}
    assert verdicts['psnr'].better and verdicts['psnr'].gain.value == pytest.approx(0.1)
    assert verdicts['vgg'].worse and verdicts['vgg'].trained_on     # less would be better
    assert verdicts['F1 yolo'].better and not verdicts['F1 yolo'].trained_on
    assert verdicts['psnr'].trained_on      # for once
    assert verdicts['F1 yolo'].old == pytest.approx(0.4)


def verdict(judge: str, low: float, high: float, trained_on: bool = False) -> Verdict:
    return Verdict(judge, 1.0, 1.0, Interval((low + high) / 2, low, high), trained_on)


def test_two_independent_judges_must_prefer_the_new_and_none_the_old() -> None:
    good, equal = verdict('psnr', 0.1, 0.2), verdict('dino', -0.1, 0.1)
    other, trained = verdict('ms_ssim', 0.1, 0.2), verdict('vgg', 0.1, 0.2, trained_on=True)
    assert passes([good, other, equal])
    assert not passes([good, trained, equal])
    assert not passes([good, other, trained, verdict('dino', -0.2, -0.1)])


def test_judges_that_like_a_control_are_marked() -> None:
    doubtful = played_to([[verdict('vgg', 0.1, 0.2), verdict('psnr', -0.2, -0.1)]])
    assert doubtful == {'vgg'}
    text = table([verdict('vgg', 0.1, 0.2, trained_on=True), verdict('psnr', 0.1, 0.2)], doubtful)
    assert '| vgg *t |' in text and '| psnr  |' in text
