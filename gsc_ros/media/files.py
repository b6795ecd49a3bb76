"""Picture files to pixels: JPEG, PNG, WebP, TIFF, BMP and PNM, in a file or in a message."""
from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.encodings import CompressedFormat, Picture, upper_byte
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.ppm', '.pgm', '.tif', '.tiff')
# More pixels than any camera of a robot has; a file of 100 bytes may claim any number.
MAX_PIXELS = 2 ** 26
# Only these are tried: some of Pillow's others start programs (EPS) or follow links.
_TYPES = ('JPEG', 'PNG', 'WEBP', 'BMP', 'PPM', 'TIFF', 'GIF')
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_END = b'\xff\xd9'   # of a JPEG
_FILLER = bytes(range(1, 255)) * 8   # entropy-coded data of no picture
# Pillow's modes: grey, and those that it converts to RGB without loss of range
_GREY = ('1', 'L', 'LA', 'La')
_COLOUR = ('RGB', 'RGBA', 'RGBX', 'RGBa', 'P', 'PA', 'CMYK', 'YCbCr')


def read_picture(path: Path | str) -> Picture:
    """
    Pixels of a picture file, (H, W, 3) uint8 RGB, turned upright as its EXIF data say.

    :raises InvalidInputError: if it is missing, cannot be decoded, or has no range of grey levels.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        raise InvalidInputError('picture', path, f'a readable picture file ({error})') from error
    return decode_picture(data, path)


def decode_picture(data: bytes | BinaryIO, name: object) -> Picture:
    """
    Pixels of a picture file's bytes, see ``read_picture``.

    :param name: for the error.
    """
    data = data if isinstance(data, bytes) else data.read()
    return CompressedFormat().picture(decode_file(data, name, upright=True))


def decode_file(data: bytes, name: object, *, upright: bool) -> Picture:
    """
    Pixels as a file holds them: (H, W) grey or (H, W, 3) RGB, uint8.

    More than 8 bits a channel keep the upper eight, palettes are looked up, alpha is dropped. A
    JPEG may lack its two last bytes, which carry nothing; one that ends within its pixels is
    refused, as its rest would be grey.

    :param upright: turn it as its EXIF data say. Not for messages: camera_info would not fit.
    :raises InvalidInputError: if it cannot be decoded, or its numbers have no range.
    """
    try:
        if data[:2] == b'\xff\xd8' and not data.rstrip(b'\0').endswith(_END):
            data = _completed(data)
        with _open(data) as image:
            return _pixels(_upright(image) if upright else image, image)
    # Pillow raises almost anything on damaged data: struct's, zlib's, an index's errors
    except Exception as error:
        raise InvalidInputError('picture', name, f'a readable picture file ({_said(error)})'
                                ) from error


def _open(data: bytes) -> Image:
    from PIL import Image
    image = Image.open(io.BytesIO(data), formats=_TYPES)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f'{image.width}x{image.height} are more than {MAX_PIXELS} pixels')
    return image


def _said(error: Exception) -> str:
    from PIL import UnidentifiedImageError
    # ultralytics, once imported, has Pillow look for another package before it gives up
    if isinstance(error, UnidentifiedImageError | ImportError):
        return f'none of {", ".join(_TYPES)}'
    return ' '.join(str(error).split()) or type(error).__name__


def _upright(image: Image) -> Image:
    from PIL import ImageOps
    return ImageOps.exif_transpose(image) or image


def _pixels(image: Image, file: Image) -> Picture:
    """Take each mode of Pillow's for what it is; ``convert`` alone clips wide ones to white."""
    if image.mode.startswith('I;16'):
        return _wide(np.asarray(image).astype(np.uint16), file)
    if image.mode == 'I' and file.format == 'PPM':   # scaled to 16 bits by Pillow
        return upper_byte(np.asarray(image).clip(0, 65535).astype(np.uint16))
    if image.mode in _GREY:
        return np.asarray(image.convert('L'))
    if image.mode not in _COLOUR:
        raise ValueError(f'numbers of the kind {image.mode}, which have no grey levels')
    return np.asarray(image.convert('RGBA' if image.mode in ('P', 'PA') else 'RGB'))[..., :3]


def _wide(raw: NDArray[Any], file: Image) -> Picture:
    """Grey of up to 16 bits; TIFF may hold fewer of them, or have black as its highest number."""
    tags: Any = getattr(file, 'tag_v2', {})
    bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
    grey = upper_byte(raw << (16 - bits))
    return ~grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey


def _completed(data: bytes) -> bytes:
    """
    Add the end of a JPEG that lacks it, after checking that nothing else is missing.

    If all pixels are there, what follows them changes none.
    """
    ends = [data.removesuffix(b'\xff') + filler + _END for filler in (b'', _FILLER)]
    first, second = (np.asarray(_open(end)) for end in ends)
    if not np.array_equal(first, second):
        raise ValueError('image file is truncated')
    return ends[0]
