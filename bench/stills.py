"""Which validation stills the benches look at, and how their rates are written."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SETS = ('camvid_seq05vd', 'coco128_train2017', 'flickr8k', 'robot_views')   # with objects
README = 12     # the first so many pictures of a set are in the table of docs/MEASURED.md


def stills(data: Path, count: int, first: int = 0, sets: Sequence[str] = SETS) -> list[Path]:
    """Files of ``count`` pictures of each set, passing over the ``first``."""
    return [file for name in sets
            for file in sorted((data / 'val' / name).rglob('*.jpg'))[first:first + count]]


def numbers(text: str) -> list[float]:
    """Split '0.02,0.04' into numbers."""
    return [float(part) for part in text.split(',')]
