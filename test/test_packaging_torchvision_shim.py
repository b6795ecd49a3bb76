"""Check that torchvision imports, and suppresses boxes, whatever torch it stands beside."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from gsc_ros.models import torchvision_shim
from gsc_ros.models.torchvision_shim import import_torchvision, nms
import pytest
import torch

needs_torchvision = pytest.mark.skipif(
    find_spec('torchvision') is None, reason='torchvision is not installed')


def suppress_pair_by_pair(boxes, scores, threshold):
    """Suppress by the definition of it: no kept box overlaps a better kept one too much."""
    def overlap(a, b):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return width * height / (sum(areas) - width * height)

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.7])
def test_nms_keeps_what_the_definition_keeps(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    corner, size = torch.rand(2, 40, 2, generator=generator).double()
    boxes = torch.cat([corner, corner + 0.05 + size / 2], dim=1)
    scores = torch.rand(40, generator=generator)
    assert nms(boxes, scores, threshold).tolist() == suppress_pair_by_pair(
        boxes.tolist(), scores.tolist(), threshold)


def test_nms_of_no_boxes_is_empty():
    kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.dtype == torch.int64
    assert kept.tolist() == []


@needs_torchvision
def test_torchvision_imports_and_suppresses():
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30.0]])
    scores = torch.tensor([0.5, 0.9, 0.3])
    assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [1, 2]
    classes = torch.tensor([0, 1, 0])
    assert torchvision.ops.batched_nms(boxes, scores, classes, 0.5).tolist() == [1, 0, 2]


@pytest.mark.parametrize(('message', 'cuda'), [
    ('something else is broken', None),
    ('operator torchvision::nms does not exist', '13.0'),
])
def test_other_failures_are_not_hidden(monkeypatch, message, cuda):
    def fail(name):
        raise RuntimeError(message)

    monkeypatch.setattr(importlib, 'import_module', fail)
    monkeypatch.setattr(torchvision_shim.torch.version, 'cuda', cuda)
    with pytest.raises(RuntimeError, match=message):
        import_torchvision()
