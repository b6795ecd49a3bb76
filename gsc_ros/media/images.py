"""
sensor_msgs/Image and CompressedImage to RGB pictures.

Plain numpy and OpenCV, so that it works without cv_bridge. A picture is numpy uint8 (H, W, 3) RGB.
Functions take any object with the message's fields, from rclpy or from a bag;
``gsc_ros.nodes.messages`` makes messages.
"""
from __future__ import annotations

from typing import Any, Protocol

import cv2
from gsc_ros.codec.bitstream import MAX_SIDE, MIN_SIDE
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.encodings import compressed_format, Encoding, encoding_of, Picture
from gsc_ros.media.files import decode_file, MAX_PIXELS
import numpy as np
from numpy.typing import NDArray

__all__ = ['Picture', 'picture_from_compressed', 'picture_from_image', 'shrink_to_width']
# What may be read; what is to be coded must be shrunk to MAX_SIDE first.
MAX_READ_SIDE = 16384


class ImageMessage(Protocol):
    """Fields of a sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedMessage(Protocol):
    """Fields of a sensor_msgs/CompressedImage."""

    format: str
    data: Any


def _check_side(name: str, value: Any, most: int, even: bool = False) -> None:
    if not isinstance(value, int) or not MIN_SIDE <= value <= most:
        raise InvalidInputError(f'image {name}', value, f'{MIN_SIDE}..{most}')
    if even and value % 2:
        raise InvalidInputError(f'image {name}', value, 'even for this encoding')


def picture_from_image(msg: ImageMessage) -> Picture:
    """
    Convert a sensor_msgs/Image to a picture that owns its memory.

    Row padding (``step``) and ``is_bigendian`` are honoured. Sides may be up to 16384.

    :raises InvalidInputError: for depth, an unknown encoding, a side out of range, or data whose
        length is not ``step * height``.
    """
    encoding = encoding_of(_field(msg, 'encoding'))
    _check_side('width', msg.width, MAX_READ_SIDE, encoding.even[0])
    _check_side('height', msg.height, MAX_READ_SIDE, encoding.even[1])
    if msg.width * msg.height > MAX_PIXELS:
        raise InvalidInputError('image size', f'{msg.width}x{msg.height}', f'{MAX_PIXELS} pixels')
    return encoding.picture(_rows(msg, encoding))


def _field(msg: Any, name: str) -> Any:
    try:
        return getattr(msg, name)
    except AttributeError as error:
        raise InvalidInputError('message', type(msg).__name__, f'one with {name}') from error


def _data(msg: Any) -> memoryview:
    try:
        return memoryview(msg.data).cast('B')
    except (TypeError, AttributeError) as error:
        raise InvalidInputError('image data', type(msg).__name__, 'bytes') from error


def _rows(msg: ImageMessage, encoding: Encoding) -> NDArray[Any]:
    """(H, W) or (H, W, channels) of the message's data, without padding, in our byte order."""
    row_bytes = msg.width * encoding.pixel_bytes
    if not isinstance(msg.step, int) or msg.step < row_bytes:
        raise InvalidInputError('image step', msg.step, f'at least {row_bytes}')
    data = _data(msg)
    if len(data) != msg.step * msg.height:
        raise InvalidInputError('image data length', len(data), msg.step * msg.height)
    rows: NDArray[Any] = np.frombuffer(data, np.uint8).reshape(msg.height, msg.step)[:, :row_bytes]
    if encoding.bits == 16:
        rows = np.ascontiguousarray(rows).view('>u2' if msg.is_bigendian else '<u2').astype(
            np.uint16)
    if encoding.channels > 1:
        rows = rows.reshape(msg.height, msg.width, encoding.channels)
    return rows


def picture_from_compressed(msg: CompressedMessage) -> Picture:
    """
    Decode a sensor_msgs/CompressedImage (JPEG, PNG, WebP, TIFF) as its ``format`` says.

    EXIF orientation is not applied: it would turn the picture away from its camera_info.

    :raises InvalidInputError: for depth, data that are no such file, or a side out of range.
    """
    form = compressed_format(_field(msg, 'format'))
    data = bytes(_data(msg))
    pixels = decode_file(data, f'compressed image of {len(data)} bytes, {msg.format!r}',
                         upright=False)
    bayer = form.encoding is not None and form.encoding.order == 'bayer' and pixels.ndim == 2
    _check_side('height', pixels.shape[0], MAX_READ_SIDE, bayer)
    _check_side('width', pixels.shape[1], MAX_READ_SIDE, bayer)
    return form.picture(pixels)


def shrink_to_width(picture: Picture, max_width: int) -> Picture:
    """
    Downscale to ``max_width`` keeping the aspect; the picture itself where it is not wider.

    A picture that would then be too high to be coded is made smaller still.

    :raises InvalidInputError: if it is no picture or the width is below 16.
    """
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or not picture.size:
        raise InvalidInputError('picture', type(picture).__name__, 'uint8 (H, W, 3)')
    if not isinstance(max_width, int) or max_width < MIN_SIDE:
        raise InvalidInputError('max_width', max_width, f'at least {MIN_SIDE}')
    height, width = picture.shape[:2]
    scale = min(1.0, max_width / width, MAX_SIDE / height)
    if scale == 1:
        return picture
    size = max(MIN_SIDE, round(width * scale)), max(MIN_SIDE, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
