"""Draws detected objects into a picture."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.objects import SceneObject
from gsc_ros.media.images import Picture
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def class_colour(class_id: int) -> tuple[int, int, int]:
    """Return a bright RGB colour for a class, the same everywhere."""
    # Steps of the golden angle keep neighbouring ids apart; OpenCV's hue runs from 0 to 179.
    hue = np.uint8(class_id * 137.508 / 2 % 180)
    colour = cv2.cvtColor(np.array([[[hue, 220, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return int(colour[0]), int(colour[1]), int(colour[2])


def draw_objects(picture: Picture, objects: Sequence[SceneObject]) -> Picture:
    """Return a copy of ``picture`` (H, W, 3) uint8 with a box, name and score per object."""
    canvas = picture.copy()
    for item in reversed(objects):  # best first in the list, so drawn last and on top
        _draw(canvas, item)
    return canvas


def _draw(canvas: Picture, item: SceneObject) -> None:
    height, width = canvas.shape[:2]
    x0, x1 = (round(x * (width - 1)) for x in (item.box[0], item.box[2]))
    y0, y1 = (round(y * (height - 1)) for y in (item.box[1], item.box[3]))
    colour = class_colour(item.class_id)
    thickness = max(1, round(width / 400))
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, thickness)
    label = f'{COCO_NAMES[item.class_id]} {item.score:.2f}'
    scale = max(0.35, width / 1400)
    (label_width, label_height), _ = cv2.getTextSize(label, _FONT, scale, 1)
    left = max(0, min(x0, width - label_width - 2))
    bottom = max(y0, label_height + 4)  # above the box, inside it at the picture's top
    cv2.rectangle(canvas, (left, bottom - label_height - 4), (left + label_width + 2, bottom),
                  colour, cv2.FILLED)
    cv2.putText(canvas, label, (left + 1, bottom - 3), _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)
