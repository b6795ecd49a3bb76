"""Objects in a picture, by an ultralytics YOLO or by the embedded one."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
from pathlib import Path
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.pinned import PINNED
from gsc_ros.models.yolo import ARCHITECTURE, cache_folder, load_yolo, prepare_ultralytics, WEIGHTS
import numpy as np

if TYPE_CHECKING:
    from ultralytics import YOLO

DEFAULT_SOURCE = 'yolo26n.pt'
EMBEDDED = 'embedded'
DEFAULT_CONFIDENCE = 0.25
_IMAGE_SIZE = 640            # longest side that stock weights are made for, pixels
_EMBEDDED_IMAGE_SIZE = 448   # where the embedded YOLO does best (model card)
_ONNX = '.onnx'   # no pickle

_log = logging.getLogger(__name__)
_warned: set[str] = set()


class Detector:
    """
    A YOLO; not for use by two threads at once.

    ``name`` says which weights run.
    """

    def __init__(self, yolo: YOLO, name: str, device: str = 'cpu',
                 confidence: float = DEFAULT_CONFIDENCE, image_size: int = _IMAGE_SIZE) -> None:
        """
        Wrap an ultralytics model.

        :param confidence: objects with a lower score are dropped, 0..1.
        :param image_size: pixels that a picture's longer side is scaled to.
        :raises InvalidInputError: if the confidence is out of range.
        :raises CheckpointError: if the model knows no COCO class or does not run.
        """
        if not isinstance(confidence, (int, float)) or not 0 <= confidence <= 1:
            raise InvalidInputError('confidence', confidence, '0..1')
        self.name = name
        self._yolo = yolo
        self._settings: dict[str, Any] = {
            'device': device, 'conf': confidence, 'imgsz': image_size, 'verbose': False,
            'save': False}
        first = self._first_prediction()
        ids = {name: index for index, name in enumerate(COCO_NAMES)}
        self._coco = {index: ids[name] for index, name in first.names.items() if name in ids}
        if not self._coco:
            raise CheckpointError(name, 'none of its classes is a COCO class')

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """
        Objects in a picture (H, W, 3) RGB or (H, W) grey, uint8, of any size; best score first.

        :raises InvalidInputError: if it is no such picture.
        """
        result = self._predict(_as_bgr(picture)).boxes.cpu().numpy()
        found = []
        for box, score, index in zip(result.xyxyn, result.conf, result.cls, strict=True):
            x0, y0, x1, y1 = (float(v) for v in box.clip(0, 1))
            if x0 < x1 and y0 < y1 and int(index) in self._coco:
                found.append(SceneObject(self._coco[int(index)], min(1.0, float(score)),
                                         (x0, y0, x1, y1)))
        return sorted(found, key=lambda item: -item.score)

    def _first_prediction(self) -> Any:
        """Set model and device up now: a failure belongs to loading, not to use."""
        try:
            with _threads_kept():
                return self._predict(np.zeros((64, 64, 3), np.uint8))
        except Exception as error:   # a damaged file may raise anything
            raise CheckpointError(self.name, str(error)) from error

    def _predict(self, bgr: np.ndarray) -> Any:
        return self._yolo.predict(bgr, **self._settings)[0]


def load_detector(source: str = DEFAULT_SOURCE, device: str = 'cpu',
                  confidence: float = DEFAULT_CONFIDENCE, image_size: int | None = None
                  ) -> Detector:
    """
    Load a YOLO; nothing is ever downloaded.

    A known name stands for the file that ``gsc fetch-detector`` has put into the cache, and only
    if its hash is right; without it the embedded YOLO is loaded and a warning logged, once for
    each name. Nothing in the current folder is loaded by its name alone.

    :param source: path of a file (.pt, .onnx, ...), a known name, or ``embedded``.
    :param device: as torch names it.
    :param confidence: objects with a lower score are dropped, 0..1.
    :param image_size: pixels that a picture's longer side is scaled to; None: what suits the
        weights.
    :raises CheckpointError: if a file is missing or cannot be read, or a name is not known.
    :raises InvalidInputError: if the source is no text, or the confidence out of range.
    """
    if not isinstance(source, str) or not source:
        raise InvalidInputError('detector', repr(source), 'a path, a known name, or embedded')
    prepare_ultralytics()
    if source == EMBEDDED:
        return _load_embedded(device, confidence, image_size or _EMBEDDED_IMAGE_SIZE)
    file = _find(source)
    if file is None:
        return _load_embedded(device, confidence, image_size or _EMBEDDED_IMAGE_SIZE)
    return Detector(_open(file), file.name, device, confidence, image_size or _IMAGE_SIZE)


def _find(source: str) -> Path | None:
    """Find the file that a source means; None, with a warning, for known weights not fetched."""
    if source in PINNED:
        file = cache_folder() / source
        if PINNED[source].matches(file):
            return file
        _warn_once(source, f'{file} is not the file that is meant' if file.exists()
                   else f'it is not in {file.parent}')
        return None
    if Path(source).name == source and Path(source).suffix != _ONNX:
        # A data set may hold a file of any name: what is unpickled is named by its path.
        here = f'; for the file in this folder write ./{source}' if Path(source).exists() else ''
        raise CheckpointError(source, f'is no known name ({", ".join((EMBEDDED, *PINNED))}) and '
                              f'no path{here}')
    if not Path(source).is_file():
        raise CheckpointError(source, 'there is no such file')
    return Path(source)


def _open(file: Path) -> YOLO:
    from ultralytics import YOLO
    try:
        with _threads_kept():
            return YOLO(str(file), task='detect')
    except Exception as error:   # a damaged pickle may raise anything
        raise CheckpointError(file, str(error)) from error


def _load_embedded(device: str, confidence: float, image_size: int) -> Detector:
    from ultralytics import YOLO
    yolo = YOLO(str(ARCHITECTURE), task='detect')
    yolo.model = load_yolo()
    return Detector(yolo, WEIGHTS.stem, device, confidence, image_size)


def _warn_once(source: str, reason: str) -> None:
    if source not in _warned:
        _warned.add(source)
        _log.warning('no %s: %s (gsc fetch-detector fetches it); using the embedded YOLO, which '
                     'knows fewer classes and is less accurate', source, reason)


def _as_bgr(picture: np.ndarray) -> np.ndarray:
    if not isinstance(picture, np.ndarray):
        raise InvalidInputError('picture', type(picture).__name__, 'an array')
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.ndim == 2:
        picture = np.stack([picture] * 3, axis=2)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise InvalidInputError('picture', f'{picture.shape} {picture.dtype}',
                                'uint8 (H, W, 3) RGB or (H, W) grey')
    return np.ascontiguousarray(picture[:, :, ::-1])


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Undo what some releases of ultralytics do to torch's threads, process-wide."""
    import torch
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
