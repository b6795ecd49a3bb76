"""
sensor_msgs/Image and CompressedImage to RGB pictures and back.

Plain numpy and OpenCV, so that it works without cv_bridge. A picture is numpy uint8 (H, W, 3) RGB.
Functions take any object with the message's fields and import no ROS, except those that make a
message.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TYPE_CHECKING

import cv2
from gsc_ros.codec.bitstream import MAX_SIDE, MIN_SIDE
from gsc_ros.codec.errors import InvalidInputError
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image
    from std_msgs.msg import Header

Picture = NDArray[np.uint8]


def _cv(code: int) -> Callable[[Picture], Picture]:
    return lambda raw: np.asarray(cv2.cvtColor(raw, code), np.uint8)


def _mono16(raw: NDArray[np.uint8]) -> Picture:
    """(H, 2 W) bytes, low byte first, to RGB: the full 16-bit range becomes 0..255."""
    high = np.ascontiguousarray(raw[:, 1::2])
    return _cv(cv2.COLOR_GRAY2RGB)(high)


# Encoding: bytes per pixel, channels seen by the converter, converter, whether sides must be even.
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first 2x2.
_ENCODINGS: dict[str, tuple[int, int, Callable[[Picture], Picture], tuple[bool, bool]]] = {
    'rgb8': (3, 3, lambda raw: raw.copy(), (False, False)),
    'bgr8': (3, 3, _cv(cv2.COLOR_BGR2RGB), (False, False)),
    'rgba8': (4, 4, _cv(cv2.COLOR_RGBA2RGB), (False, False)),
    'bgra8': (4, 4, _cv(cv2.COLOR_BGRA2RGB), (False, False)),
    'mono8': (1, 1, _cv(cv2.COLOR_GRAY2RGB), (False, False)),
    'mono16': (2, 1, _mono16, (False, False)),
    'yuv422': (2, 2, _cv(cv2.COLOR_YUV2RGB_UYVY), (True, False)),
    'uyvy': (2, 2, _cv(cv2.COLOR_YUV2RGB_UYVY), (True, False)),
    'yuv422_yuy2': (2, 2, _cv(cv2.COLOR_YUV2RGB_YUY2), (True, False)),
    'yuyv': (2, 2, _cv(cv2.COLOR_YUV2RGB_YUY2), (True, False)),
    'bayer_rggb8': (1, 1, _cv(cv2.COLOR_BayerBG2RGB), (True, True)),
    'bayer_bggr8': (1, 1, _cv(cv2.COLOR_BayerRG2RGB), (True, True)),
    'bayer_gbrg8': (1, 1, _cv(cv2.COLOR_BayerGR2RGB), (True, True)),
    'bayer_grbg8': (1, 1, _cv(cv2.COLOR_BayerGB2RGB), (True, True)),
}
ENCODINGS = tuple(_ENCODINGS)


def _check_side(name: str, value: int, even: bool) -> None:
    if not MIN_SIDE <= value <= MAX_SIDE:
        raise InvalidInputError(f'image {name}', value, f'{MIN_SIDE}..{MAX_SIDE}')
    if even and value % 2:
        raise InvalidInputError(f'image {name}', value, 'even for this encoding')


def picture_from_image(msg: Image | Any) -> Picture:
    """
    Convert a sensor_msgs/Image to a picture that owns its memory.

    Row padding (``step``) and ``is_bigendian`` are honoured. Raises InvalidInputError for an
    unknown encoding, a side outside 16..4096, or data whose length is not ``step * height``.
    """
    if msg.encoding not in _ENCODINGS:
        raise InvalidInputError('image encoding', repr(msg.encoding), ', '.join(ENCODINGS))
    pixel_bytes, channels, convert, (even_width, even_height) = _ENCODINGS[msg.encoding]
    _check_side('width', msg.width, even_width)
    _check_side('height', msg.height, even_height)
    row_bytes = msg.width * pixel_bytes
    if msg.step < row_bytes:
        raise InvalidInputError('image step', msg.step, f'at least {row_bytes}')
    if len(msg.data) != msg.step * msg.height:
        raise InvalidInputError('image data length', len(msg.data), msg.step * msg.height)
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)[:, :row_bytes]
    if msg.encoding == 'mono16':
        return convert(rows if not msg.is_bigendian else rows.reshape(
            msg.height, msg.width, 2)[:, :, ::-1].reshape(msg.height, row_bytes))
    if channels > 1:
        rows = rows.reshape(msg.height, msg.width, channels)
    return convert(np.ascontiguousarray(rows))


def picture_from_compressed(msg: CompressedImage | Any) -> Picture:
    """
    Decode a sensor_msgs/CompressedImage (JPEG, PNG, WebP) to a picture.

    Raises InvalidInputError when the data is no such file or a side is outside 16..4096.
    """
    data = np.frombuffer(msg.data, np.uint8)
    # Orientation tags would turn the picture away from its camera_info.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        decoded = None
    if decoded is None:
        raise InvalidInputError('compressed image', f'{data.size} bytes of {msg.format!r}',
                                'a JPEG, PNG or WebP file')
    _check_side('height', decoded.shape[0], False)
    _check_side('width', decoded.shape[1], False)
    return _cv(cv2.COLOR_BGR2RGB)(np.asarray(decoded, np.uint8))


def check_picture(picture: Picture) -> None:
    """Raise InvalidInputError unless ``picture`` is uint8 (16..4096, 16..4096, 3)."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InvalidInputError('picture', f'{picture.dtype} {picture.shape}', 'uint8 (H, W, 3)')
    _check_side('height', picture.shape[0], False)
    _check_side('width', picture.shape[1], False)


def image_from_picture(picture: Picture, header: Header) -> Image:
    """Make an rgb8 sensor_msgs/Image; stamp and frame_id are those of ``header``."""
    from sensor_msgs.msg import Image

    check_picture(picture)
    height, width = picture.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding='rgb8', step=3 * width)
    # Assigning an array costs 1000 times more: rclpy then checks every element.
    msg.data = picture.tobytes()
    return msg


def compressed_from_picture(picture: Picture, header: Header, quality: int = 90
                            ) -> CompressedImage:
    """Make a JPEG sensor_msgs/CompressedImage of ``quality`` 1..100."""
    from sensor_msgs.msg import CompressedImage

    check_picture(picture)
    if not 1 <= quality <= 100:
        raise InvalidInputError('quality', quality, '1..100')
    _, data = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header, format='rgb8; jpeg compressed bgr8',
                           data=data.tobytes())


def shrink_to_width(picture: Picture, max_width: int) -> Picture:
    """Downscale to ``max_width`` keeping the aspect; the picture itself where it is not wider."""
    height, width = picture.shape[:2]
    if width <= max_width:
        return picture
    size = (max_width, max(MIN_SIDE, round(height * max_width / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
