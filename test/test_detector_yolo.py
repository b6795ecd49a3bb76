"""The detector: loading, falling back, and what comes out for odd pictures."""
from __future__ import annotations

from importlib.util import find_spec
import logging
import os
from pathlib import Path

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.models.yolo import load_yolo, read_architecture, WEIGHTS
from gsc_ros.scene import detector as detector_module
import numpy as np
import pytest
import torch

if find_spec('ultralytics') is None:
    pytest.skip('ultralytics is not installed', allow_module_level=True)
from gsc_ros.scene.detector import EMBEDDED, load_detector  # noqa: E402

needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f'{WEIGHTS.name} not shipped')


@pytest.fixture(scope='module')
def embedded():
    return load_detector(EMBEDDED, confidence=0.05)


def bus() -> np.ndarray:
    """Give the photo that ultralytics carries: four people before a bus."""
    from PIL import Image
    import ultralytics
    file = Path(ultralytics.__file__).parent / 'assets' / 'bus.jpg'
    return np.asarray(Image.open(file).convert('RGB'))


def test_architecture_names_coco_classes_once() -> None:
    ids = read_architecture().coco_ids
    assert len(set(ids)) == len(ids) >= 30
    assert all(0 <= i < len(COCO_NAMES) for i in ids)
    assert {'person', 'bicycle', 'car', 'dog', 'chair', 'stop sign'} <= {
        COCO_NAMES[i] for i in ids}


@needs_weights
def test_weights_are_small_enough_to_ship() -> None:
    assert WEIGHTS.stat().st_size < 8e6


@needs_weights
def test_embedded_yolo_sees_people_and_a_bus() -> None:
    found = load_detector(EMBEDDED).detect(bus())
    assert {COCO_NAMES[o.class_id] for o in found} >= {'person', 'bus'}
    assert [o.score for o in found] == sorted((o.score for o in found), reverse=True)


@needs_weights
@pytest.mark.parametrize('shape', [(1, 1, 3), (16, 16, 3), (7, 300, 3), (480, 640), (64, 48, 1),
                                   (4200, 32, 3)])
def test_any_picture_gives_valid_objects(embedded, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    for item in embedded.detect(picture):
        x0, y0, x1, y1 = item.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert 0 <= item.score <= 1
        assert item.class_id in read_architecture().coco_ids


@needs_weights
def test_the_network_sees_rgb(embedded) -> None:
    seen = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            seen.append(inputs[0].amax((0, 2, 3)).tolist())
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        embedded.detect(red)
    finally:
        hook.remove()
    assert seen and all(r == pytest.approx(1.0) and g == b == 0 for r, g, b in seen)


@needs_weights
@pytest.mark.parametrize('picture', [
    np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 2), np.uint8),
    np.zeros(4, np.uint8)])
def test_no_picture_is_a_typed_error(embedded, picture: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match='picture'):
        embedded.detect(picture)


@needs_weights
def test_missing_weights_fall_back_and_say_so_once(
        caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(detector_module, '_warned', set())
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING, logger='gsc_ros'):
        names = [load_detector('yolo26n.pt').name for _ in range(2)]
    assert names == [WEIGHTS.stem] * 2
    said = [r.message for r in caplog.records if 'embedded YOLO' in r.message]
    assert len(said) == 1
    assert 'it is not in' in said[0] and 'gsc fetch-detector' in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ['cache']


@needs_weights
def test_loading_leaves_the_process_as_it_was() -> None:
    import torch
    before = torch.get_num_threads(), os.environ.get('OMP_NUM_THREADS')
    load_detector(EMBEDDED)
    assert (torch.get_num_threads(), os.environ.get('OMP_NUM_THREADS')) == before


@pytest.mark.parametrize('name', ['folder/missing.pt', 'damaged.pt', 'damaged.onnx'])
def test_bad_files_are_typed_errors(name: str, tmp_path: Path) -> None:
    if name.startswith('damaged'):
        (tmp_path / name).write_bytes(b'not a model')
    with pytest.raises(CheckpointError, match=name):
        load_detector(str(tmp_path / name))


@needs_weights
@pytest.mark.parametrize('confidence', [-0.1, 1.1])
def test_confidence_is_checked(confidence: float) -> None:
    with pytest.raises(InvalidInputError, match='confidence'):
        load_detector(EMBEDDED, confidence=confidence)


def test_missing_and_foreign_weights_are_typed_errors(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    import torch
    with pytest.raises(CheckpointError, match='gsc train detector'):
        load_yolo(tmp_path / 'no.safetensors')
    save_file({'a': torch.zeros(1)}, str(tmp_path / 'other.safetensors'))
    with pytest.raises(CheckpointError, match='other'):
        load_yolo(tmp_path / 'other.safetensors')


def test_onnx_files_run_too(data_root: Path) -> None:
    pytest.importorskip('onnxruntime')
    found = load_detector(str(data_root / 'models/yolov8n_int8.onnx')).detect(bus())
    names = [COCO_NAMES[o.class_id] for o in found]
    assert names.count('person') >= 3
    assert 'bus' in names


class Pickled:
    """Runs code when it is unpickled, as a file from a stranger may."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return Path.touch, (self.mark,)


@needs_weights
@pytest.mark.parametrize('place', ['here', 'cache'])
def test_wrong_default_weights_are_not_even_unpickled(
        place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    folder = tmp_path if place == 'here' else tmp_path / 'cache' / 'gsc_ros'
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({'model': Pickled(tmp_path / 'ran')}, folder / 'yolo26n.pt')
    monkeypatch.chdir(tmp_path)
    assert load_detector().name == WEIGHTS.stem
    assert not (tmp_path / 'ran').exists()


def test_a_bare_name_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'model': Pickled(tmp_path / 'ran')}, 'best.pt')
    with pytest.raises(CheckpointError, match=r'\./best\.pt'):
        load_detector('best.pt')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('source', [None, '', 5, Path('a.pt')])
def test_a_source_that_is_no_text_is_a_typed_error(source: object) -> None:
    with pytest.raises(InvalidInputError, match='detector'):
        load_detector(source)


@needs_weights
@pytest.mark.parametrize('confidence', [None, 'x', float('nan')])
def test_a_confidence_that_is_no_number_is_a_typed_error(confidence: object) -> None:
    with pytest.raises(InvalidInputError, match='confidence'):
        load_detector(EMBEDDED, confidence=confidence)
