"""What the report knows about each figure of a row: its name, its direction, how it is written."""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.evaluation.judges.registry import KINDS


@dataclass(frozen=True)
class Figure:
    """``better`` is 1 where more is better, -1 where less is."""

    key: str
    name: str
    better: int
    digits: int
    note: str = ''

    def format(self, value: float, sign: bool = False) -> str:
        """Write a value with the digits that it deserves."""
        return f'{value:{"+" if sign else ""}.{self.digits}f}'


# Means over pictures.
MEANS = {figure.key: figure for figure in (
    *(Figure(kind.name, kind.title, kind.better, kind.digits, kind.note)
      for kind in KINDS.values()),
    Figure('flicker', 'flicker', -1, 2,
           'grey levels that change from picture to picture where the source stands still'),
    Figure('caption_recall', 'caption recall', 1, 2, 'share of the caption that was sent'),
    Figure('object_recall', 'object recall', 1, 2,
           'share of the objects in the source that the packet names'),
)}
# Pooled over pictures: large scenes weigh more, as they do.
POOLED = {figure.key: figure for figure in (
    Figure('f1', 'detection F1', 1, 2, 'detections on the decoded picture against the source'),
    Figure('map', 'detection mAP50', 1, 2, 'likewise'),
    Figure('invented', 'invented', -1, 2,
           'share of the detections on the decoded picture that the source lacks'),
    Figure('lost', 'lost', -1, 2, 'share of the detections on the source that are gone'),
    Figure('kid', 'KID x 1000', -1, 2,
           'distance of all decoded pictures, as a set, from the sources; on DINOv2 features, not '
           "Inception's; from 50 pictures on"),
    Figure('label_f1', 'F1 against labels', 1, 2),
    Figure('label_map', 'mAP50 against labels', 1, 2),
    Figure('label_invented', 'invented, by labels', -1, 2),
    Figure('label_lost', 'lost, by labels', -1, 2),
)}
FIGURES = MEANS | POOLED
# Rate curves that may be compared by Bjøntegaard deltas.
COMPARED = tuple(kind.name for kind in KINDS.values() if kind.curve)
# "At equal ..." is said in this figure, the first that was measured.
HEADLINE = tuple(sorted((kind.name for kind in KINDS.values() if kind.headline),
                        key=lambda name: KINDS[name].headline))
