"""Turns a checkpoint of the detector stage into the shipped weights, and measures them."""
from __future__ import annotations

from pathlib import Path
import time
from typing import Any

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.models.yolo import read_architecture, WEIGHTS
from gsc_ros.scene.detector import EMBEDDED, load_detector
from gsc_ros.training.detector.scores import (
    detect_all,
    f1_score,
    mean_average_precision,
    read_labelled,
)
from gsc_ros.training.detector.teacher import TEACHER
import torch

_LEAST_CONFIDENCE = 0.01   # mAP needs the whole precision-recall curve


def export(folder: Path, out: Path = WEIGHTS) -> int:
    """
    Write the averaged weights of ``folder/checkpoint.pt`` as safetensors.

    Kernels become float16; scales and statistics are few and keep their range in float32.

    :returns: the step that the checkpoint was taken at.
    :raises CheckpointError: if there is no checkpoint.
    """
    from safetensors.torch import save_file
    file = folder / 'checkpoint.pt'
    if not file.is_file():
        raise CheckpointError(file, 'not there; run: gsc train detector')
    state = torch.load(file, map_location='cpu', weights_only=True)
    tensors = {name: (value.half() if value.ndim > 1 else value).contiguous()
               for name, value in state['average'].items()}
    save_file(tensors, str(out), {'steps': str(state['step'])})
    out.chmod(0o644)   # safetensors writes it for the owner only
    return int(state['step'])


def measure(data_root: Path, limit: int | None = None, image_size: int | None = None
            ) -> dict[str, Any]:
    """
    Figures of the embedded YOLO and of its teacher on the labelled validation pictures.

    The teacher's own training set holds these pictures; the student has not seen them.
    """
    data = read_labelled(data_root, limit)
    classes = read_architecture().coco_ids
    teacher = load_detector(str(data_root / TEACHER), confidence=_LEAST_CONFIDENCE)
    student = load_detector(EMBEDDED, confidence=_LEAST_CONFIDENCE, image_size=image_size)
    reference = detect_all(teacher, data.pictures)
    start = time.perf_counter()
    found = detect_all(student, data.pictures)
    seconds = time.perf_counter() - start
    return {
        'pictures': len(data.pictures), 'weights': student.name,
        'labels': sum(o.class_id in classes for objects in data.objects for o in objects),
        'map50': mean_average_precision(found, data.objects, classes),
        'map50_teacher': mean_average_precision(reference, data.objects, classes),
        'f1_labels': f1_score(found, data.objects, classes),
        'f1_labels_teacher': f1_score(reference, data.objects, classes),
        'f1_against_teacher': f1_score(found, reference, classes),
        'ms_per_picture': 1000 * seconds / len(data.pictures)}
