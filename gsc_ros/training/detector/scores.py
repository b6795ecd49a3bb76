"""How good a detector is: mAP against labels and F1 against another detector's boxes."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.judges.detection import Detects
import numpy as np
from PIL import Image
from tqdm import tqdm

_IOU = 0.5
PICTURES = Path('val/coco128_train2017')
LABELS = Path('val/coco128_train2017_labels')


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with the objects that are truly there; scores are 1."""

    pictures: list[np.ndarray]
    objects: list[list[SceneObject]]


def read_labelled(root: Path, limit: int | None = None) -> LabelledPictures:
    """Read the COCO validation pictures below a data root with their YOLO label files."""
    files = sorted((root / PICTURES).glob('*.jpg'))[:limit]
    pictures = [np.asarray(Image.open(file).convert('RGB')) for file in files]
    labels = [read_labels(root / LABELS / f'{file.stem}.txt') for file in files]
    return LabelledPictures(pictures, labels)


def read_labels(file: Path) -> list[SceneObject]:
    """Objects of a YOLO label file (class, centre, size; relative); none if it is not there."""
    if not file.is_file():
        return []
    objects = []
    for line in file.read_text().splitlines():
        index, *numbers = line.split()
        x, y, width, height = (float(n) for n in numbers[:4])
        objects.append(SceneObject(int(index), 1.0, (x - width / 2, y - height / 2,
                                                     x + width / 2, y + height / 2)))
    return objects


def detect_all(detector: Detects, pictures: Sequence[np.ndarray]) -> list[list[SceneObject]]:
    """Run a detector over pictures."""
    return [detector.detect(p) for p in tqdm(pictures, desc='detecting', mininterval=5)]


def match(found: Sequence[SceneObject], wanted: Sequence[SceneObject]) -> np.ndarray:
    """Which found objects (best score first) hit a wanted one of their class, bool (n,)."""
    left = list(range(len(wanted)))
    hits = np.zeros(len(found), bool)
    for i, item in enumerate(found):
        overlaps = [(overlap(item, wanted[j]), j) for j in left
                    if wanted[j].class_id == item.class_id]
        best, j = max(overlaps, default=(0.0, -1))
        if best >= _IOU:
            hits[i] = True
            left.remove(j)
    return hits


def overlap(first: SceneObject, second: SceneObject) -> float:
    """Intersection over union of two boxes."""
    a, b = np.array(first.box), np.array(second.box)
    common = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def mean_average_precision(found: Sequence[Sequence[SceneObject]],
                           wanted: Sequence[Sequence[SceneObject]],
                           classes: Collection[int]) -> float:
    """MAP at IoU 0.5 over those of ``classes`` that have a label, as ultralytics computes it."""
    from ultralytics.utils.metrics import ap_per_class
    kept = [[o for o in objects if o.class_id in classes] for objects in found]
    truth = [[o for o in objects if o.class_id in classes] for objects in wanted]
    flat = [o for objects in kept for o in objects]
    if not flat:
        return 0.0
    hits = np.concatenate([match(f, w) for f, w in zip(kept, truth, strict=True)])
    result = ap_per_class(hits[:, None], np.array([o.score for o in flat]),
                          np.array([o.class_id for o in flat]),
                          np.array([o.class_id for objects in truth for o in objects]))
    return float(result[5].mean())


def f1_score(found: Sequence[Sequence[SceneObject]], wanted: Sequence[Sequence[SceneObject]],
             classes: Collection[int], confidence: float = 0.25) -> float:
    """F1 at IoU 0.5 of all objects together, both sides cut at ``confidence``."""
    hits = total = 0
    for ours, theirs in zip(found, wanted, strict=True):
        kept, truth = ([o for o in side if o.class_id in classes and o.score >= confidence]
                       for side in (ours, theirs))
        hits += int(match(kept, truth).sum())
        total += len(kept) + len(truth)
    return 2 * hits / total if total else 0.0
