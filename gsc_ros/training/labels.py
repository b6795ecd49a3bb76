"""Objects of every training picture, found once by a detector and kept in a file."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from gsc_ros.codec.objects import SceneObject
from gsc_ros.training.data import PictureSet
import numpy as np
from tqdm import tqdm


class Finder(Protocol):
    """Anything with a detector's ``detect``."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """Objects of a picture (H, W, 3) uint8 RGB."""


def label(pictures: PictureSet, detector: Finder, file: Path) -> list[list[SceneObject]]:
    """Objects per picture, read from ``file`` where it has them, else detected and appended."""
    known: dict[str, list[SceneObject]] = {}
    if file.is_file():
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            known[entry['path']] = [SceneObject(c, s, tuple(b)) for c, s, b in entry['objects']]
    with file.open('a') as stream:
        for path, picture in zip(tqdm(pictures.paths, desc='labels', mininterval=5),
                                 pictures.pictures, strict=True):
            if path in known:
                continue
            known[path] = detector.detect(picture)
            rows = [(o.class_id, round(o.score, 3), [round(x, 4) for x in o.box])
                    for o in known[path]]
            stream.write(json.dumps({'path': path, 'objects': rows}) + '\n')
    return [known[path] for path in pictures.paths]
