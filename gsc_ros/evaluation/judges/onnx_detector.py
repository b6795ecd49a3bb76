"""Detectors from ONNX files (YOLOv8 and YOLOX layouts), as independent judges of pictures."""
from __future__ import annotations

from pathlib import Path

import cv2
from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, InvalidInputError, MissingDependencyError
from gsc_ros.codec.objects import SceneObject
import numpy as np

_GREY = 114   # what both families pad with
_NMS_IOU = 0.5


class OnnxDetector:
    """
    A COCO detector with outputs (1, 84, n) as YOLOv8 or (1, n, 85) as YOLOX.

    :param confidence: detections below this score are dropped, 0..1.
    :param threads: of the inference.
    :raises CheckpointError: if the file is missing or has another layout.
    """

    def __init__(self, file: Path, confidence: float = 0.25, threads: int = 2) -> None:
        if not 0 <= confidence <= 1:
            raise InvalidInputError('confidence', confidence, '0..1')
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError('onnxruntime', 'pip install onnxruntime') from error
        if not file.is_file():
            raise CheckpointError(file, 'there is no such file')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=['CPUExecutionProvider'])
        except Exception as error:   # onnxruntime's exceptions share no public base class
            raise CheckpointError(file, str(error)) from error
        self.name = file.name
        self._confidence = confidence
        (self._input,) = self._session.get_inputs()
        self._height, self._width = self._input.shape[2:]
        shape = self._session.get_outputs()[0].shape
        if shape[1] != 4 + len(COCO_NAMES) and shape[-1] != 5 + len(COCO_NAMES):
            raise CheckpointError(file, f'its output is {shape}, not (1, 84, n) or (1, n, 85)')
        self._yolox = shape[-1] == 5 + len(COCO_NAMES)

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """Objects of a picture (H, W, 3) uint8 RGB, best score first."""
        tensor, scale = self._letterbox(picture)
        (output, *_) = self._session.run(None, {self._input.name: tensor})
        boxes, scores = self._read_yolox(output[0]) if self._yolox else (
            output[0, :4].T, output[0, 4:].T)
        return self._select(boxes / scale, scores, picture.shape[1], picture.shape[0])

    def _letterbox(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """Shrink to fit and pad right and below; (1, 3, H, W) float32 and the scale."""
        height, width = picture.shape[:2]
        scale = min(self._height / height, self._width / width)
        size = round(width * scale), round(height * scale)
        padded = np.full((self._height, self._width, 3), _GREY, np.uint8)
        padded[:size[1], :size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        # YOLOX was trained on BGR in 0..255, YOLOv8 on RGB in 0..1.
        pixels = padded[..., ::-1] if self._yolox else padded / np.float32(255)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32), scale

    def _read_yolox(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn cell offsets and log sizes into centre boxes (n, 4) and scores (n, 80)."""
        cells = []
        for stride in (8, 16, 32):
            y, x = np.mgrid[:self._height // stride, :self._width // stride]
            cells.append(np.stack((x, y, np.full_like(x, stride)), -1).reshape(-1, 3))
        grid = np.concatenate(cells).astype(np.float32)
        centres = (rows[:, :2] + grid[:, :2]) * grid[:, 2:]
        boxes = np.concatenate((centres, np.exp(rows[:, 2:4]) * grid[:, 2:]), 1)
        return boxes, rows[:, 4:5] * rows[:, 5:]

    def _select(self, boxes: np.ndarray, scores: np.ndarray, width: int, height: int
                ) -> list[SceneObject]:
        classes = scores.argmax(1)
        best = scores.max(1)
        keep = best >= self._confidence
        boxes, classes, best = boxes[keep], classes[keep], best[keep]
        corner = np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]), 1)
        chosen = cv2.dnn.NMSBoxesBatched(
            corner.tolist(), best.tolist(), classes.tolist(), self._confidence, _NMS_IOU)
        objects = []
        for i in sorted(np.asarray(chosen, int).ravel(), key=lambda i: -best[i]):
            x, y, w, h = corner[i]
            box = (max(0.0, float(x / width)), max(0.0, float(y / height)),
                   min(1.0, float((x + w) / width)), min(1.0, float((y + h) / height)))
            if box[0] < box[2] and box[1] < box[3]:
                objects.append(SceneObject(int(classes[i]), min(1.0, float(best[i])), box))
        return objects
