"""
Import torchvision beside a torch without CUDA.

The torchvision wheel that package indexes serve is built for CUDA. Beside a CPU build of torch
its C++ operators do not load, and ``import torchvision`` fails on the missing operator
``torchvision::nms``. ultralytics and compressai import torchvision but need no more of those
operators than non-maximum suppression, which a few lines of torch can do.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch
from torch import Tensor

_SCHEMAS = (
    'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
)

# torch drops operators together with the library object that defined them.
_libraries: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """
    Import torchvision, mending the operators that a CPU build of torch cannot load.

    Call it before anything that imports torchvision; where torchvision works it just imports it.

    :raises ImportError: if torchvision is not installed.
    :raises RuntimeError: if torchvision fails for another reason than the missing operators.
    """
    try:
        return importlib.import_module('torchvision')
    except RuntimeError as error:
        if torch.version.cuda is not None or 'torchvision::nms does not exist' not in str(error):
            raise
    for name in [n for n in sys.modules if n.split('.')[0] == 'torchvision']:
        del sys.modules[name]  # what the failed import left half made
    _define_operators()
    torchvision = importlib.import_module('torchvision')
    boxes = importlib.import_module('torchvision.ops.boxes')
    setattr(boxes, '_assert_has_ops', lambda: None)  # noqa: B010 (mypy: not an attribute)
    return torchvision


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """
    Greedy non-maximum suppression, as ``torchvision.ops.nms``.

    :param dets: boxes (n, 4) as x0, y0, x1, y1.
    :param scores: (n,).
    :param iou_threshold: a box is dropped if it overlaps a better one by more than this, 0..1.
    :returns: indices of the boxes kept, best first, int64 (k,).
    """
    areas = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])
    order = scores.argsort(descending=True, stable=True)
    keep = []
    while order.numel():
        best, order = order[0], order[1:]
        keep.append(best)
        top_left = torch.maximum(dets[best, :2], dets[order, :2])
        bottom_right = torch.minimum(dets[best, 2:], dets[order, 2:])
        common = (bottom_right - top_left).clamp(min=0).prod(dim=1)
        overlap = common / (areas[best] + areas[order] - common)
        order = order[~(overlap > iou_threshold)]
    return torch.stack(keep) if keep else order


def _define_operators() -> None:
    library = torch.library.Library('torchvision', 'DEF')
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl('nms', nms, 'CompositeExplicitAutograd')
    _libraries.append(library)
