"""Objects in a picture, by an ultralytics YOLO or by the embedded one."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.network import unreachable
from gsc_ros.models.yolo import ARCHITECTURE, cache_folder, load_yolo, prepare_ultralytics, WEIGHTS
import numpy as np

if TYPE_CHECKING:
    from ultralytics import YOLO

DEFAULT_SOURCE = 'yolo26n.pt'
EMBEDDED = 'embedded'
DEFAULT_CONFIDENCE = 0.25
_IMAGE_SIZE = 640            # longest side that stock weights are made for, pixels
_EMBEDDED_IMAGE_SIZE = 448   # where the embedded YOLO does best (model card)
_WEIGHTS_HOST = 'https://github.com'

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
        if not 0 <= confidence <= 1:
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
    Load a YOLO.

    A name that is no file is looked for in the cache and fetched by ultralytics; if that fails,
    the embedded YOLO is loaded and a warning logged, once for each name.

    :param source: a file (.pt, .onnx, ...), a name that ultralytics knows, or ``embedded``.
    :param device: as torch names it.
    :param confidence: objects with a lower score are dropped, 0..1.
    :param image_size: pixels that a picture's longer side is scaled to; None: what suits the
        weights.
    :raises CheckpointError: if a file, or a path with a folder, is missing or cannot be read.
    """
    prepare_ultralytics()
    if source == EMBEDDED:
        return _load_embedded(device, confidence, image_size or _EMBEDDED_IMAGE_SIZE)
    file = _find(source)
    if file is None:
        reason = _fetch(cache_folder() / source)
        if reason:
            _warn_once(source, reason)
            return _load_embedded(device, confidence, image_size or _EMBEDDED_IMAGE_SIZE)
        file = cache_folder() / source
    return Detector(_open(file), file.name, device, confidence, image_size or _IMAGE_SIZE)


def _find(source: str) -> Path | None:
    """Find the file that a source means; None says that it is a name still to be fetched."""
    for file in (Path(source), cache_folder() / source):
        if file.is_file():
            return file
    if Path(source).name != source:
        raise CheckpointError(source, 'there is no such file')
    return None


def _fetch(file: Path) -> str:
    """Let ultralytics download a weight file; the answer is why it could not, or empty."""
    if os.environ.get('YOLO_OFFLINE', '').lower() in ('1', 'true', 'yes', 'on'):
        return 'YOLO_OFFLINE is set'
    reason = unreachable(_WEIGHTS_HOST)
    if reason:
        return reason
    from ultralytics.utils.downloads import attempt_download_asset
    try:
        attempt_download_asset(str(file))
    except (OSError, RuntimeError) as error:
        return str(error)
    return '' if file.is_file() else 'ultralytics offers no file of that name'


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
        _log.warning('no %s: %s; using the embedded YOLO, which knows fewer classes and is less '
                     'accurate', source, reason)


def _as_bgr(picture: np.ndarray) -> np.ndarray:
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
