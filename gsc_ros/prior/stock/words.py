"""Caption and objects of a packet as the prompt of a text-to-picture model."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.objects import SceneObject

_MOST_OBJECTS = 8       # text encoders read 77 tokens or more; the best come first
_NOTHING = 'a photograph'
_ACROSS = ('on the left', 'in the middle', 'on the right')
_DOWN = ('at the top', '', 'at the bottom')


def prompt(caption: str, objects: Sequence[SceneObject]) -> str:
    """Caption, then what stands where: ``street. car on the left, person in the middle``."""
    words = ', '.join(_place(item) for item in objects[:_MOST_OBJECTS])
    return '. '.join(part for part in (caption.strip().rstrip('.'), words) if part) or _NOTHING


def _place(item: SceneObject) -> str:
    x0, y0, x1, y1 = item.box
    parts = COCO_NAMES[item.class_id], _DOWN[_third(y0, y1)], _ACROSS[_third(x0, x1)]
    return ' '.join(part for part in parts if part)


def _third(low: float, high: float) -> int:
    return min(int((low + high) / 2 * 3), 2)
