"""The one table of what picture data mean; messages, bags and files are all read through it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
from gsc_ros.codec.errors import InvalidInputError
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]   # (H, W, 3) RGB
_Convert = Callable[[Picture], Picture]


def _cv(code: int) -> _Convert:
    return lambda raw: np.asarray(cv2.cvtColor(raw, code), np.uint8)


@dataclass(frozen=True)
class Encoding:
    """
    How the pixels of a sensor_msgs encoding lie in memory.

    ``to_rgb`` takes 8 bits a channel, (H, W) or (H, W, channels); wider ones keep their upper
    eight. ``order`` is rgb, bgr, mono, yuv or bayer. ``even`` says which of width and height must
    be even. Alpha is dropped: a camera has none.
    """

    order: str
    channels: int
    to_rgb: _Convert
    bits: int = 8
    even: tuple[bool, bool] = (False, False)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel."""
        return self.channels * self.bits // 8

    def picture(self, raw: NDArray[Any]) -> Picture:
        """Convert (H, W) or (H, W, channels), uint8 or uint16, to a picture."""
        return self.to_rgb(np.ascontiguousarray(upper_byte(raw)))


def upper_byte(raw: NDArray[Any]) -> Picture:
    """Reduce uint16 to the uint8 that shows the same: the full range becomes 0..255."""
    return (raw >> 8).astype(np.uint8) if raw.dtype == np.uint16 else np.asarray(raw, np.uint8)


def _of_bits(bits: int) -> dict[str, Encoding]:
    """Make those that exist in 8 and 16 bits; what names no order has BGR, as in RViz."""
    grey = Encoding('mono', 1, _cv(cv2.COLOR_GRAY2RGB), bits)
    bgr = Encoding('bgr', 3, _cv(cv2.COLOR_BGR2RGB), bits)
    bgra = Encoding('bgr', 4, _cv(cv2.COLOR_BGRA2RGB), bits)
    # OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first 2x2
    patterns = {'rggb': cv2.COLOR_BayerBG2RGB, 'bggr': cv2.COLOR_BayerRG2RGB,
                'gbrg': cv2.COLOR_BayerGR2RGB, 'grbg': cv2.COLOR_BayerGB2RGB}
    return {
        f'rgb{bits}': Encoding('rgb', 3, lambda raw: raw.copy(), bits), f'bgr{bits}': bgr,
        f'rgba{bits}': Encoding('rgb', 4, _cv(cv2.COLOR_RGBA2RGB), bits), f'bgra{bits}': bgra,
        f'mono{bits}': grey, f'{bits}UC3': bgr, f'{bits}UC4': bgra,
        **{f'bayer_{name}{bits}': Encoding('bayer', 1, _cv(code), bits, (True, True))
           for name, code in patterns.items()}}


_UYVY = Encoding('yuv', 2, _cv(cv2.COLOR_YUV2RGB_UYVY), even=(True, False))
_YUY2 = Encoding('yuv', 2, _cv(cv2.COLOR_YUV2RGB_YUY2), even=(True, False))
ENCODINGS: dict[str, Encoding] = {
    **_of_bits(8), **_of_bits(16), '8UC1': _of_bits(8)['mono8'],
    'yuv422': _UYVY, 'uyvy': _UYVY, 'yuv422_yuy2': _YUY2, 'yuyv': _YUY2}

_DEPTH = 'pictures: these are distances or measurements, which have no grey level'
_NOT_PICTURES = dict.fromkeys(
    ('16UC1', '16SC1', '32SC1', '32UC1', '32FC1', '64FC1', '8SC1', '16FC1'), _DEPTH)
_FILE_TYPES = ('jpeg', 'jpg', 'png', 'webp', 'tiff', 'tif', 'bmp')


def encoding_of(name: str) -> Encoding:
    """
    Look an encoding of sensor_msgs/Image up.

    :raises InvalidInputError: if it is none of ours, or depth.
    """
    if name not in ENCODINGS:
        raise InvalidInputError('image encoding', repr(name),
                                _NOT_PICTURES.get(str(name)) or ', '.join(ENCODINGS))
    return ENCODINGS[name]


@dataclass(frozen=True)
class CompressedFormat:
    """
    What the text in a CompressedImage says of the file beside it.

    ``encoding`` is that of the picture before it was packed, None where the text does not say.
    ``swapped`` says that the file holds red where it should hold blue.
    """

    encoding: Encoding | None = None
    swapped: bool = False

    def picture(self, pixels: NDArray[Any]) -> Picture:
        """Make a picture of a file's pixels, (H, W) grey or (H, W, 3) RGB as the file says."""
        if pixels.ndim == 2:
            mosaic = self.encoding is not None and self.encoding.order == 'bayer'
            grey = ENCODINGS['mono8']
            return (self.encoding if mosaic and self.encoding else grey).picture(pixels)
        return ENCODINGS['bgr8' if self.swapped else 'rgb8'].picture(pixels)


def compressed_format(text: str) -> CompressedFormat:
    """
    Read ``CompressedImage.format``: ``jpeg``, or ``rgb8; jpeg compressed bgr8``.

    The second kind is compressed_image_transport's: encoding before packing, type of file, and
    the channels as the file's packer was given them (which calls its own bgr8); where these are
    missing, it was given the picture as it was.

    :raises InvalidInputError: if the text names depth or an encoding that we do not know.
    """
    text = text if isinstance(text, str) else ''
    before, semicolon, rest = (part.strip() for part in text.partition(';'))
    if 'compresseddepth' in text.lower():
        raise InvalidInputError('compressed image format', repr(text), _DEPTH)
    if not semicolon or before.lower() in _FILE_TYPES or not before:
        return CompressedFormat()
    packed = rest.partition('compressed')[2].strip()
    if before not in ENCODINGS and (before in _NOT_PICTURES or not packed.startswith('bgr')):
        raise InvalidInputError('compressed image format', repr(text),
                                _NOT_PICTURES.get(before) or ', '.join(ENCODINGS))
    encoding = ENCODINGS.get(before)
    order = packed or (encoding.order if encoding else '')
    return CompressedFormat(encoding, swapped=order.startswith('rgb'))
