"""How boxes agree: overlap, matches and their counts."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gsc_ros.codec.objects import SceneObject


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1), 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (areas - common)


MIN_IOU = 0.5
# (class id, score, whether it is right)
Match = tuple[int, float, bool]


@dataclass(frozen=True)
class Agreement:
    """How detections on the decoded picture (``found``) agree with those on the original."""

    matched: int
    found: int
    wanted: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1; 1 where both have no detection."""
        total = self.found + self.wanted
        return 2 * self.matched / total if total else 1.0

    @property
    def invented(self) -> float:
        """Share of the decoded picture's detections that the original lacks, 0..1."""
        return 1 - self.matched / self.found if self.found else 0.0

    @property
    def lost(self) -> float:
        """Share of the original's detections that the decoded picture lacks, 0..1."""
        return 1 - self.matched / self.wanted if self.wanted else 0.0


def matches(found: Sequence[SceneObject], wanted: Sequence[SceneObject],
            min_iou: float = MIN_IOU) -> list[Match]:
    """
    Say for each found object, best score first, whether it is right.

    It is right if a wanted object of its class overlaps it by ``min_iou`` and is not taken yet
    (as PASCAL VOC counts). Leaving out low scores does not change the others.
    """
    free = list(wanted)
    result: list[Match] = []
    for item in sorted(found, key=lambda o: -o.score):
        rivals = [(box_iou(item.box, o.box), i) for i, o in enumerate(free)
                  if o.class_id == item.class_id]
        best = max(rivals, default=(0.0, -1))
        if best[0] >= min_iou:
            free.pop(best[1])
        result.append((item.class_id, item.score, best[0] >= min_iou))
    return result


def agreement(found: Sequence[SceneObject], wanted: Sequence[SceneObject],
              min_iou: float = MIN_IOU) -> Agreement:
    """
    Count the matches of all detections, whatever their score.

    :param found: detections on the decoded picture.
    :param wanted: detections on the original.
    """
    right = sum(right for _, _, right in matches(found, wanted, min_iou))
    return Agreement(right, len(found), len(wanted))
