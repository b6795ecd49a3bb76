"""The detector's teacher: a YOLOv8 ONNX file whose inner feature maps become outputs."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gsc_ros.codec.errors import CheckpointError
import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

# Ends of the blocks of a YOLOv8 graph: four of the backbone, four of the neck.
TAPS = (2, 4, 6, 9, 12, 15, 18, 21)
LEVELS = 3
TEACHER = Path('models/yolov8n_int8.onnx')   # below the data root


@dataclass(frozen=True)
class TeacherTargets:
    """What the teacher says about a batch; N positions of all levels, finest level first."""

    features: dict[int, Tensor]   # tap -> (B, C, H, W)
    boxes: Tensor                 # (B, 64, N) logits of the distance distributions
    scores: Tensor                # (B, 80, N) class logits


class Teacher:
    """
    Runs a YOLOv8 ONNX file at any size that is a multiple of 32.

    The file's own output decodes boxes for one fixed size; the maps before it do not, so they
    are cut out and the input is made free.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """
        Load the file.

        :raises CheckpointError: if it is missing or not a YOLOv8 graph.
        """
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._outputs = _output_names()
        model = _with_inner_outputs(path, self._outputs)
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=['CPUExecutionProvider'])

    def __call__(self, pictures: np.ndarray) -> TeacherTargets:
        """Targets of float32 pictures (B, 3, H, W) in 0..1."""
        maps = [torch.from_numpy(m) for m in self._session.run(
            self._outputs, {'images': pictures})]
        boxes, scores, features = maps[:LEVELS], maps[LEVELS:2 * LEVELS], maps[2 * LEVELS:]
        return TeacherTargets(
            dict(zip(TAPS, features, strict=True)),
            torch.cat([m.flatten(2) for m in boxes], 2),
            torch.cat([m.flatten(2) for m in scores], 2))


def _output_names() -> list[str]:
    heads = [f'/model.22/cv{branch}.{level}/cv{branch}.{level}.2/Conv_output_0'
             for branch in (2, 3) for level in range(LEVELS)]
    return heads + [f'/model.{tap}/cv2/act/Mul_output_0' for tap in TAPS]


def _with_inner_outputs(path: Path, names: list[str]) -> ModelProto:
    """Load a graph, keep what the named tensors need, free batch size, height and width."""
    import onnx
    if not path.is_file():
        raise CheckpointError(path, 'not there; the teacher is a YOLOv8 ONNX file')
    model = onnx.load(str(path))
    needed, nodes = set(names), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    missing = set(names) - {o for node in nodes for o in node.output}
    if missing:
        raise CheckpointError(path, f'no tensors {sorted(missing)}; expected a YOLOv8 graph')
    for name, repeated, items in (
            ('node', model.graph.node, reversed(nodes)),
            ('output', model.graph.output, [onnx.helper.make_tensor_value_info(
                n, onnx.TensorProto.FLOAT, None) for n in names]),
            ('value_info', model.graph.value_info, [])):
        items = list(items)
        del repeated[:]
        getattr(model.graph, name).extend(items)
    for axis in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f'free{axis}'
    return model
