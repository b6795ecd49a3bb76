"""Square training canvases for the detector: single pictures and mosaics at many scales."""
from __future__ import annotations

import cv2
from gsc_ros.training.data import PictureSet
import numpy as np

GREY = 114   # what YOLO pads with


def draw_canvas(pictures: PictureSet, weights: np.ndarray, size: int, rng: np.random.Generator,
                mosaic: float = 0.35) -> np.ndarray:
    """
    One canvas (size, size, 3) uint8: a picture, or with probability ``mosaic`` four of them.

    :param weights: probability of each picture.
    """
    canvas = np.full((size, size, 3), GREY, np.uint8)
    middle = rng.uniform(0.3, 0.7, 2) * size if rng.random() < mosaic else np.array([size, size])
    x, y = (int(v) for v in middle)
    for left, top, right, bottom in ((0, 0, x, y), (x, 0, size, y), (0, y, x, size),
                                     (x, y, size, size)):
        if right > left and bottom > top:
            chosen = rng.choice(len(pictures), p=weights)
            _place(canvas[top:bottom, left:right], pictures.pictures[chosen], rng)
    return _recolour(canvas, rng)


def _place(region: np.ndarray, picture: np.ndarray, rng: np.random.Generator) -> None:
    """Put a picture, scaled to between half and 1.6 times the region, anywhere onto it."""
    height, width = region.shape[:2]
    fit = max(height / picture.shape[0], width / picture.shape[1])
    scale = fit * float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    shape = [max(8, round(n * scale)) for n in picture.shape[1::-1]]
    picture = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA if scale < 1
                         else cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    spare_y, spare_x = height - picture.shape[0], width - picture.shape[1]
    y, x = (int(rng.integers(min(0, s), max(0, s) + 1)) for s in (spare_y, spare_x))
    source = picture[max(0, -y):max(0, -y) + height, max(0, -x):max(0, -x) + width]
    region[max(0, y):max(0, y) + source.shape[0], max(0, x):max(0, x) + source.shape[1]] = source


def _recolour(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary gain, gamma and colour a little; the teacher sees the result too."""
    gain, gamma = rng.uniform(0.7, 1.25), np.exp(rng.uniform(-0.35, 0.35))
    tint = rng.uniform(0.92, 1.08, 3)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * tint
    table = np.clip(levels * 255, 0, 255).astype(np.uint8)[:, None]
    if rng.random() < 0.05:
        canvas = np.repeat(canvas.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    return cv2.LUT(canvas, table.reshape(1, 256, 3))


def degrade(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lose detail as a codec at very low rates does: shrink, maybe JPEG, enlarge."""
    size, factor = canvas.shape[0], rng.uniform(1.3, 3.0)
    small = cv2.resize(canvas, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        _, data = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY,
                                               int(rng.integers(25, 80))])
        small = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
