"""Training pictures, from a manifest, a pack, or any folder, video or bag, as random crops."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
import csv
from dataclasses import dataclass, field
from hashlib import sha256
import json
from pathlib import Path
from typing import Any
import zipfile

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.media.sources import open_source
import numpy as np
from PIL import Image
from tqdm import tqdm

# Narrow or scarce sources are drawn less or more often than their size says.
SOURCE_WEIGHTS = {'grocery_store': 0.3, 'clothing_small': 0.3, 'camvid480': 2.0, 'jetson': 4.0,
                  'tiny_coco_train2017': 3.0, 'flickr8k_1k': 1.5}


MANIFEST = 'train.tsv'
MAX_SHORT_SIDE = 512    # of pictures that come without a manifest: keeps them in memory


@dataclass
class PictureSet:
    """Pictures in memory with a source name, texts and, where known, objects each."""

    pictures: list[np.ndarray]
    sources: list[str]
    texts: list[list[str]]
    paths: list[str] = field(default_factory=list)
    objects: dict[str, list[SceneObject]] = field(default_factory=dict)     # by path

    def __len__(self) -> int:
        return len(self.pictures)

    def sampling_weights(self) -> np.ndarray:
        """Probability of each picture, float64 (n,), sums to one."""
        weights = np.array([SOURCE_WEIGHTS.get(s, 1.0) for s in self.sources])
        return weights / weights.sum()

    def select(self, indices: Iterable[int]) -> PictureSet:
        """Those pictures, in that order."""
        indices = list(indices)
        return PictureSet([self.pictures[i] for i in indices], [self.sources[i] for i in indices],
                          [self.texts[i] for i in indices], [self.paths[i] for i in indices],
                          self.objects)


def load_pictures(source: Path) -> PictureSet:
    """
    Read all training pictures of a folder with a manifest, a pack, a folder, a video or a bag.

    :raises InvalidInputError: if nothing there can be read, saying why.
    """
    if source.suffix == '.zip' or (source / MANIFEST).is_file():
        return load_manifest(source, MANIFEST)
    result = PictureSet([], [], [], [])
    for item in tqdm(open_source(str(source)), desc=f'reading {source.name}', unit='pic'):
        picture = _shrink(item.read())
        result.pictures.append(picture)
        result.sources.append(source.name)
        result.texts.append([])
        # what is in it, not where it stands: labels are kept by this name from run to run
        result.paths.append(f'{source.name}/{sha256(picture.tobytes()).hexdigest()[:16]}')
    return result


def load_manifest(root: Path, manifest: str, limit: int | None = None) -> PictureSet:
    """
    Read the pictures that a tab-separated manifest (path, source, ..., text, objects) names.

    :param root: folder or zip file that the manifest lies in; paths are relative to it or to its
        namesake folder (``val.tsv`` names files below ``val/``).
    :raises InvalidInputError: if the manifest, a column or a picture of it is not there.
    """
    place: Any = zipfile.Path(root) if root.suffix == '.zip' else root
    file = place / manifest
    if not file.is_file():
        raise InvalidInputError('manifest', file, 'an existing tab-separated file')
    with file.open(newline='', encoding='utf-8') as stream:
        reader = csv.DictReader(stream, delimiter='\t')
        if not {'path', 'source'} <= set(reader.fieldnames or ()):
            raise InvalidInputError(f'columns of {file}', reader.fieldnames, 'path, source, ...')
        rows = [r for r in reader if r['path'].endswith(('.jpg', '.png', '.webp'))][:limit]
    result = PictureSet([], [], [], [])
    for row in tqdm(rows, desc=f'reading {manifest}', unit='pic', mininterval=2):
        path = _existing(place / row['path'], place / Path(manifest).stem / row['path'])
        with path.open('rb') as picture:
            result.pictures.append(np.asarray(Image.open(picture).convert('RGB')))
        result.sources.append(row['source'])
        result.texts.append([t.strip() for t in (row.get('text') or '').split('||') if t.strip()])
        result.paths.append(row['path'])
        if row.get('objects'):
            result.objects[row['path']] = objects_from_json(row['objects'])
    return result


def _existing(*places: Any) -> Any:
    for place in places:
        if place.is_file():
            return place
    raise InvalidInputError('picture of the manifest', places[0], 'an existing file')


def objects_from_json(text: str) -> list[SceneObject]:
    """Objects of one picture as ``objects_to_json`` wrote them."""
    return [SceneObject(c, score, tuple(box)) for c, score, box in json.loads(text)]


def objects_to_json(objects: Sequence[SceneObject]) -> str:
    """Write class, score and box of each object, rounded to what training needs."""
    return json.dumps([(o.class_id, round(o.score, 3), [round(x, 4) for x in o.box])
                       for o in objects])


def _shrink(picture: np.ndarray) -> np.ndarray:
    scale = MAX_SHORT_SIDE / min(picture.shape[:2])
    if scale >= 1:
        return picture
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Window:
    """A square of a picture: corner and side in pixels, maybe mirrored left to right."""

    top: int
    left: int
    side: int
    mirrored: bool

    def cut(self, picture: np.ndarray, size: int) -> np.ndarray:
        """Picture (H, W, 3) uint8 -> (size, size, 3), shrunk or grown bicubically."""
        crop = picture[self.top:self.top + self.side, self.left:self.left + self.side]
        if self.side != size:
            crop = np.asarray(
                Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC))
        return crop[:, ::-1] if self.mirrored else crop

    def cut_objects(self, objects: Sequence[SceneObject], height: int, width: int
                    ) -> list[SceneObject]:
        """Objects of a picture of that size, as far as a third of them lies inside."""
        inside = []
        for item in objects:
            x0, x1 = ((x * width - self.left) / self.side for x in item.box[0::2])
            y0, y1 = ((y * height - self.top) / self.side for y in item.box[1::2])
            if self.mirrored:
                x0, x1 = 1 - x1, 1 - x0
            box = (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
            shown = max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
            if shown > (x1 - x0) * (y1 - y0) / 3:
                inside.append(SceneObject(item.class_id, item.score, box))
        return inside


def random_window(height: int, width: int, size: int, rng: np.random.Generator,
                  scales: tuple[float, float] = (0.6, 1.0)) -> Window:
    """Window ``size / scale`` wide, ``scale`` uniform in ``scales``, never over the edge."""
    side = int(min(size / rng.uniform(*scales), height, width))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return Window(int(top), int(left), side, bool(rng.random() < 0.5))


def random_crop(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """One random square of a picture (H, W, 3) uint8 -> (size, size, 3)."""
    return random_window(picture.shape[0], picture.shape[1], size, rng).cut(picture, size)
