"""All training pictures in one small file, for machines that have little else."""
from __future__ import annotations

import csv
import io
from pathlib import Path
import zipfile

from gsc_ros.training.data import load_pictures, MANIFEST, objects_to_json
from gsc_ros.training.labels import Finder, label
import numpy as np
from PIL import Image
from tqdm import tqdm

DEFAULT_QUALITY = 60


def pack(source: Path, out: Path, labels: Path, detector: Finder | None = None,
         quality: int = DEFAULT_QUALITY) -> int:
    """
    Write a zip of WebP pictures with their manifest, texts and objects; return its size in bytes.

    Every stage takes the pack in place of the folder.

    :param labels: file of objects that were detected before; missing ones are added.
    :param quality: of WebP, 0..100.
    :raises InvalidInputError: if ``source`` cannot be read or a picture has no labels yet.
    """
    pictures = load_pictures(source)
    objects = label(pictures, detector, labels)
    table = io.StringIO()
    rows = csv.writer(table, delimiter='\t', lineterminator='\n')
    rows.writerow(('path', 'source', 'text', 'objects'))
    # stored, not deflated: WebP does not shrink further
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_STORED) as file:
        for i, picture in enumerate(tqdm(pictures.pictures, desc='packing', unit='pic')):
            name = str(Path(pictures.paths[i]).with_suffix('.webp'))
            file.writestr(name, _webp(picture, quality))
            rows.writerow((name, pictures.sources[i], ' || '.join(pictures.texts[i]),
                           objects_to_json(objects[i])))
        file.writestr(MANIFEST, table.getvalue())
    return out.stat().st_size


def _webp(picture: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'WEBP', quality=quality, method=4)
    return stream.getvalue()
