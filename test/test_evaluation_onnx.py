"""The judging detectors on the downloaded models; skipped where these are absent."""
from __future__ import annotations

from pathlib import Path

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError
from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
import numpy as np
from PIL import Image
import pytest

ZEBRA = Path('val', 'coco128_train2017', '000000000034.jpg')


@pytest.mark.parametrize('name', ['yolov8n_int8.onnx', 'yolox_nano.onnx'])
def test_finds_the_zebra(name: str, data_root: Path) -> None:
    picture = np.asarray(Image.open(data_root / ZEBRA).convert('RGB'))
    best = OnnxDetector(data_root / 'models' / name).detect(picture)[0]
    assert COCO_NAMES[best.class_id] == 'zebra'
    assert best.score > 0.8
    assert best.box == pytest.approx((0.0, 0.05, 0.68, 0.94), abs=0.04)


def test_a_missing_or_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='none.onnx'):
        OnnxDetector(tmp_path / 'none.onnx')
    (tmp_path / 'bad.onnx').write_bytes(b'not a model')
    with pytest.raises(CheckpointError, match='bad.onnx'):
        OnnxDetector(tmp_path / 'bad.onnx')
