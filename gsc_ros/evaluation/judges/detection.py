"""How detections agree: matches, counts and mean average precision, against source or labels."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TYPE_CHECKING

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.judges.matching import Agreement, Match, matches
import numpy as np

__all__ = [
    'class_counts', 'confident', 'count', 'Detects', 'figures', 'load_judge_detector', 'matches',
    'pooled_map', 'read_labels']

if TYPE_CHECKING:
    from gsc_ros.evaluation.rows import Row

# Detections count for F1 from here on; average precision also takes the doubtful ones.
CONFIDENCE, LEAST_CONFIDENCE = 0.25, 0.05


class Detects(Protocol):
    """Anything that finds objects in a picture."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """Objects of a picture (H, W, 3) uint8."""
        ...


def load_judge_detector(file: Path | None, device: str, threads: int) -> Detects:
    """
    Load the detector that judges pictures, with doubtful detections too.

    :param file: ONNX file in a YOLOv8 or YOLOX layout; None: the detector node's own.
    :raises CheckpointError: if the file cannot be used.
    """
    if file is not None:
        from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
        return OnnxDetector(file, LEAST_CONFIDENCE, threads)
    from gsc_ros.scene.detector import load_detector
    return load_detector(device=device, confidence=LEAST_CONFIDENCE)


def confident(objects: Iterable[SceneObject]) -> list[SceneObject]:
    """Objects that a user would be shown."""
    return [item for item in objects if item.score >= CONFIDENCE]


def count(found: Sequence[Match], wanted: int) -> Agreement:
    """Agreement of the confident ones."""
    right = [right for _, score, right in found if score >= CONFIDENCE]
    return Agreement(sum(right), len(right), wanted)


def figures(agreement: Agreement, prefix: str = '') -> dict[str, float | None]:
    """Metrics of a row; the shares are None where there is nothing to take a share of."""
    wrong, missed = agreement.found - agreement.matched, agreement.wanted - agreement.matched
    return {f'{prefix}f1': agreement.f1, f'{prefix}tp': agreement.matched, f'{prefix}fp': wrong,
            f'{prefix}fn': missed,
            f'{prefix}invented': agreement.invented if agreement.found else None,
            f'{prefix}lost': agreement.lost if agreement.wanted else None}


def class_counts(objects: Iterable[SceneObject]) -> dict[str, int]:
    """Objects per class id, as JSON keys."""
    counts: dict[str, int] = {}
    for item in objects:
        counts[str(item.class_id)] = counts.get(str(item.class_id), 0) + 1
    return counts


def pooled_map(rows: Iterable[Row], against: str = 'source') -> float | None:
    """
    Mean average precision at IoU 0.5 over the classes of many rows of one codec and rate.

    Area under the precision envelope at every recall (PASCAL VOC since 2010).

    :param against: 'source' (detections on the source) or 'labels'.
    :return: 0..1; None where no object was wanted.
    """
    found: dict[int, list[tuple[float, bool]]] = {}
    wanted: dict[int, int] = {}
    for row in rows:
        table: Mapping[str, Any] = (row.get('detections') or {}).get(against) or {}
        for class_id, score, right in table.get('found', ()):
            found.setdefault(class_id, []).append((score, right))
        for name, number in table.get('wanted', {}).items():
            wanted[int(name)] = wanted.get(int(name), 0) + number
    if not wanted:
        return None
    return float(np.mean([_average_precision(found.get(c, []), n) for c, n in wanted.items()]))


def _average_precision(found: list[tuple[float, bool]], wanted: int) -> float:
    right = np.array([r for _, r in sorted(found, key=lambda f: -f[0])], float)
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right).sum() / wanted)


def read_labels(file: Path) -> list[SceneObject]:
    """
    Objects of a YOLO label file: lines of class, centre x, centre y, width, height, relative.

    :raises InvalidInputError: if a line is none; names file and line.
    """
    objects = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            class_id, (x, y, w, h) = int(line.split()[0]), map(float, line.split()[1:5])
        except ValueError as error:
            raise InvalidInputError(f'{file} line {number}', repr(line),
                                    'class x y width height') from error
        if not 0 <= class_id < len(COCO_NAMES):
            raise InvalidInputError(f'class in {file} line {number}', class_id,
                                    f'0..{len(COCO_NAMES) - 1}')
        objects.append(SceneObject(class_id, 1.0, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
    return objects
