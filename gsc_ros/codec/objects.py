"""The object list of a packet: five bytes an object (docs/BITSTREAM.md, section 4)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import InvalidInputError, PacketError

BYTES_PER_OBJECT = 5
MAX_OBJECTS = 255
_SCORE_STEPS = 31   # 5 bits
_EDGE_STEPS = 128   # 7 bits


@dataclass(frozen=True)
class SceneObject:
    """
    One object that the robot has seen.

    ``class_id`` is an index into ``COCO_NAMES``, ``score`` lies in 0..1, ``box`` is x0, y0, x1,
    y1 relative to the picture's size: 0..1 with x0 < x1 and y0 < y1.
    """

    class_id: int
    score: float
    box: tuple[float, float, float, float]


def encode_objects(objects: Sequence[SceneObject]) -> bytes:
    """
    Pack at most 255 objects into exactly five bytes each, order kept.

    Scores are rounded to 1/31 and box edges to 1/128 of the picture.

    :raises InvalidInputError: if there are too many, or a field is outside its range.
    """
    if len(objects) > MAX_OBJECTS:
        raise InvalidInputError('objects', len(objects), f'at most {MAX_OBJECTS}')
    return b''.join(_encode_object(item) for item in objects)


def _encode_object(item: SceneObject) -> bytes:
    if not 0 <= item.class_id < len(COCO_NAMES):
        raise InvalidInputError('class_id', item.class_id, f'0..{len(COCO_NAMES) - 1}')
    if not 0 <= item.score <= 1:
        raise InvalidInputError('score', item.score, '0..1')
    x0, y0, x1, y1 = item.box
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise InvalidInputError('box', item.box, '0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1')
    left, right = _quantise_span(x0, x1)
    top, bottom = _quantise_span(y0, y1)
    word = int(item.class_id)
    word = word << 5 | round(item.score * _SCORE_STEPS)
    for edge in (left, top, right, bottom):
        word = word << 7 | edge
    return word.to_bytes(BYTES_PER_OBJECT, 'big')


def _quantise_span(low: float, high: float) -> tuple[int, int]:
    """First and last cell (inclusive, 0..127) of a span; never empty."""
    first, last = round(low * _EDGE_STEPS), round(high * _EDGE_STEPS) - 1
    if first <= last:
        return first, last
    # thinner than a cell: the one that holds its middle, so that no edge moves further than that
    middle = min(int((low + high) / 2 * _EDGE_STEPS), _EDGE_STEPS - 1)
    return middle, middle


def decode_objects(data: bytes) -> list[SceneObject]:
    """
    Unpack what ``encode_objects`` made.

    :raises PacketError: if the length is no multiple of five, a class is unknown or a box empty.
    """
    if len(data) % BYTES_PER_OBJECT or len(data) > MAX_OBJECTS * BYTES_PER_OBJECT:
        raise PacketError('objects length', len(data), f'a multiple of {BYTES_PER_OBJECT} '
                          f'up to {MAX_OBJECTS * BYTES_PER_OBJECT}')
    return [_decode_object(data[i:i + BYTES_PER_OBJECT])
            for i in range(0, len(data), BYTES_PER_OBJECT)]


def _decode_object(data: bytes) -> SceneObject:
    word = int.from_bytes(data, 'big')
    left, top, right, bottom = (word >> shift & 0x7F for shift in (21, 14, 7, 0))
    class_id = word >> 33
    if class_id >= len(COCO_NAMES):
        raise PacketError('object class', class_id, f'0..{len(COCO_NAMES) - 1}')
    if left > right or top > bottom:
        raise PacketError('object box', (left, top, right, bottom), 'x0 <= x1 and y0 <= y1')
    return SceneObject(class_id, (word >> 28 & 0x1F) / _SCORE_STEPS, (
        left / _EDGE_STEPS, top / _EDGE_STEPS,
        (right + 1) / _EDGE_STEPS, (bottom + 1) / _EDGE_STEPS))
