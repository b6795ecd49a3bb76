"""Objects of every training picture, found once by a detector and kept in a file."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.training.data import objects_from_json, objects_to_json, PictureSet
import numpy as np
from tqdm import tqdm


class Finder(Protocol):
    """Anything with a detector's ``detect``."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """Objects of a picture (H, W, 3) uint8 RGB."""


def label(pictures: PictureSet, detector: Finder | None, file: Path) -> list[list[SceneObject]]:
    """
    Objects per picture: the manifest's, those in ``file``, else detected and appended to it.

    :raises InvalidInputError: if a picture has none yet and there is no detector.
    """
    known = dict(pictures.objects)
    if file.is_file():
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            known[entry['path']] = objects_from_json(json.dumps(entry['objects']))
    with file.open('a') as stream:
        for path, picture in zip(tqdm(pictures.paths, desc='labels', mininterval=5),
                                 pictures.pictures, strict=True):
            if path in known:
                continue
            if detector is None:
                raise InvalidInputError('detector', None, 'an ONNX detector that labels pictures')
            known[path] = detector.detect(picture)
            stream.write(f'{{"path": {json.dumps(path)}, '
                         f'"objects": {objects_to_json(known[path])}}}\n')
    return [known[path] for path in pictures.paths]
