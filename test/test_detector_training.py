"""The distillation stage of the detector, with a teacher that the test draws at random."""
from __future__ import annotations

from importlib.util import find_spec
import json
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.training.data import PictureSet
from gsc_ros.training.detector import scores as detector_scores
from gsc_ros.training.detector.pictures import degrade, draw_canvas
from gsc_ros.training.detector.teacher import TAPS, Teacher, TeacherTargets
import numpy as np
import pytest
import torch

if find_spec('ultralytics') is None:
    pytest.skip('ultralytics is not installed', allow_module_level=True)

from gsc_ros.models.yolo import build_yolo, load_yolo  # noqa: E402
from gsc_ros.training.detector.export import export  # noqa: E402
from gsc_ros.training.detector.stage import (  # noqa: E402
    DetectorStage,
    DistillConfig,
    feature_error,
    forward_with_targets,
    head_losses,
)
from gsc_ros.training.loop import train  # noqa: E402
from gsc_ros.training.schedule import LoopConfig  # noqa: E402

CHANNELS = dict(zip(TAPS, (32, 64, 128, 256, 128, 64, 128, 256), strict=True))
STRIDES = dict(zip(TAPS, (4, 8, 16, 32, 16, 8, 16, 32), strict=True))
CONFIG = DistillConfig(sizes=(64,), pixels=2 * 64 ** 2, evaluated=1)


class RandomTeacher(Teacher):
    """Targets of the right shapes that depend on nothing but the pictures' shape."""

    def __init__(self) -> None:
        pass

    def __call__(self, pictures: np.ndarray) -> TeacherTargets:
        count, _, height, width = pictures.shape
        draw = torch.Generator().manual_seed(0)
        places = sum(height // s * (width // s) for s in (8, 16, 32))
        return TeacherTargets(
            {tap: torch.randn(count, CHANNELS[tap], height // STRIDES[tap], width // STRIDES[tap],
                              generator=draw) for tap in TAPS},
            torch.randn(count, 64, places, generator=draw),
            torch.randn(count, 80, places, generator=draw) - 3)


@pytest.fixture
def pictures() -> PictureSet:
    rng = np.random.default_rng(0)
    shapes = ((40, 60, 3), (80, 50, 3), (300, 200, 3))
    return PictureSet([rng.integers(0, 255, s).astype(np.uint8) for s in shapes],
                      ['a', 'b', 'c'], [[], [], []], ['1', '2', '3'])


@pytest.mark.slow
def test_trains_resumes_and_exports(pictures: PictureSet, tmp_path: Path) -> None:
    weights = np.full(3, 1 / 3)
    for steps in (2, 3):
        torch.manual_seed(0)
        stage = DetectorStage(pictures, weights, pictures, RandomTeacher(), steps, CONFIG)
        settings = LoopConfig(steps=steps, warmup=1, threads=torch.get_num_threads(), log_every=1)
        model = train(stage, settings, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    assert [line['step'] for line in lines if 'loss' in line] == [0, 1, 2]
    assert export(tmp_path, tmp_path / 'w.safetensors') == 3
    loaded = load_yolo(tmp_path / 'w.safetensors').state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded[name], value.to(loaded[name].dtype), rtol=1e-3,
                                   atol=1e-3)


def test_feature_error_is_zero_for_the_teacher_and_one_for_its_mean() -> None:
    teacher = torch.randn(2, 8, 16, 16)
    mean = teacher.mean((0, 2, 3), keepdim=True).expand_as(teacher)
    assert feature_error(teacher, teacher).item() == 0
    assert feature_error(mean, teacher).item() == pytest.approx(0.91, abs=0.02)


def test_head_losses_are_zero_only_for_the_teachers_own_outputs() -> None:
    targets = RandomTeacher()(np.zeros((2, 3, 64, 64), np.float32))
    ids = (0, 2, 5)
    same = {'boxes': targets.boxes.clone(), 'scores': targets.scores[:, list(ids)]}
    assert sum(v.abs().item() for v in head_losses(same, targets, ids)) < 1e-4
    worse = {name: value + torch.randn_like(value) for name, value in same.items()}
    assert all(v.item() > 0.01 for v in head_losses(worse, targets, ids))


def test_forced_taps_keep_gradients_inside_their_block() -> None:
    model = build_yolo()
    pictures = np.zeros((2, 3, 64, 64), np.float32)
    targets = RandomTeacher()(pictures)
    forced = torch.ones(len(TAPS), dtype=torch.bool)
    errors, heads = forward_with_targets(model, torch.from_numpy(pictures), targets, forced)
    classes, _ = head_losses(heads, targets, tuple(range(36)))
    classes.backward()
    touched = {int(n.split('.')[1]) for n, p in model.named_parameters() if p.grad is not None}
    assert touched == {22}
    assert set(errors) == set(TAPS)


@pytest.mark.parametrize('mosaic', [0.0, 1.0])
def test_canvases_have_the_size_and_depend_on_the_generator_only(
        pictures: PictureSet, mosaic: float) -> None:
    draw = [draw_canvas(pictures, np.full(3, 1 / 3), 96, np.random.default_rng(seed), mosaic)
            for seed in (1, 1, 2)]
    assert draw[0].shape == (96, 96, 3)
    assert draw[0].dtype == np.uint8
    np.testing.assert_array_equal(draw[0], draw[1])
    assert (draw[0] != draw[2]).any()
    assert degrade(draw[0], np.random.default_rng(0)).shape == (96, 96, 3)


def test_teacher_file_is_checked(tmp_path: Path) -> None:
    onnx = pytest.importorskip('onnx')
    with pytest.raises(CheckpointError, match='not there'):
        Teacher(tmp_path / 'no.onnx')
    node = onnx.helper.make_node('Relu', ['images'], ['output0'])
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3, 64, 64])
              for n in ('images', 'output0')]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], 'g', values[:1], values[1:]))
    onnx.save(model, str(tmp_path / 'other.onnx'))
    with pytest.raises(CheckpointError, match='expected a YOLOv8 graph'):
        Teacher(tmp_path / 'other.onnx')


def test_real_teacher_runs_at_other_sizes_than_its_own(data_root: Path) -> None:
    pytest.importorskip('onnx')
    targets = Teacher(data_root / 'models/yolov8n_int8.onnx')(np.zeros((2, 3, 64, 96), np.float32))
    assert targets.scores.shape == (2, 80, 8 * 12 + 4 * 6 + 2 * 3)
    assert {tap: tuple(f.shape) for tap, f in targets.features.items()} == {
        tap: (2, CHANNELS[tap], 64 // STRIDES[tap], 96 // STRIDES[tap]) for tap in TAPS}


def test_scores_of_a_perfect_a_blind_and_a_confused_detector() -> None:
    wanted = [[SceneObject(0, 1.0, (0.1, 0.1, 0.5, 0.5)), SceneObject(2, 1.0, (0.5, 0.5, 1, 1))]]
    shifted = [[SceneObject(0, 0.9, (0.12, 0.1, 0.5, 0.5)), SceneObject(3, 0.8, (0.5, 0.5, 1, 1))]]
    classes = (0, 2, 3)
    assert detector_scores.f1_score(wanted, wanted, classes) == 1
    assert detector_scores.f1_score([[]], wanted, classes) == 0
    assert detector_scores.f1_score(shifted, wanted, classes) == 0.5
    assert detector_scores.f1_score(shifted, wanted, (0, 2)) == pytest.approx(2 / 3)
    assert detector_scores.mean_average_precision(wanted, wanted, classes) > 0.99
    assert detector_scores.mean_average_precision(shifted, wanted, classes) == pytest.approx(
        0.4975, abs=0.01)
    assert detector_scores.mean_average_precision([[]], wanted, classes) == 0
