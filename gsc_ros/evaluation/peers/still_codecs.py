"""The standard picture codecs, each as three functions."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import io
import struct
from typing import Any

from gsc_ros.evaluation.peers import x265
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Codec:
    """
    A codec as three functions; a higher quality makes a larger file.

    :param counted: 'file' holds the whole file under the ceiling, 'payload' only what is left
        without the container (kinder to the codec than a real link is).
    :param side_multiple: sides that it takes are multiples of this, and at least ``min_side``;
        scales that would go below are left out.
    """

    name: str
    qualities: range
    encode: Callable[[Image.Image, int], bytes]
    decode: Callable[[bytes], np.ndarray]
    payload: Callable[[bytes], int]
    counted: str = 'file'
    side_multiple: int = 1
    min_side: int = 1

    def cost(self, data: bytes) -> int:
        """Bytes that count against the ceiling."""
        return len(data) if self.counted == 'file' else self.payload(data)


def _pillow_encoder(kind: str, **options: Any) -> Callable[[Image.Image, int], bytes]:
    def encode(picture: Image.Image, quality: int) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, kind, quality=quality, **options)
        return stream.getvalue()
    return encode


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    """Whichever is smaller: several scans pay from some hundred bytes on, one scan below."""
    return min((_pillow_encoder('JPEG', optimize=True, progressive=progressive,
                                subsampling='4:2:0')(picture, quality)
                for progressive in (False, True)), key=len)


def _pillow_decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))


def jpeg_payload(data: bytes) -> int:
    """Bytes from the first start-of-scan marker on: without tables and headers."""
    position = 2
    while data[position + 1] != 0xDA:
        position += 2 + int(struct.unpack_from('>H', data, position + 2)[0])
    return len(data) - position


def webp_payload(data: bytes) -> int:
    """Bytes inside the VP8 chunk: without the RIFF and chunk headers."""
    position = 12
    while data[position:position + 4] != b'VP8 ':
        position += 8 + (int(struct.unpack_from('<I', data, position + 4)[0]) + 1) // 2 * 2
    return int(struct.unpack_from('<I', data, position + 4)[0])


def avif_payload(data: bytes) -> int:
    """Bytes inside the media data box: without the item and property boxes."""
    position = 0
    while data[position + 4:position + 8] != b'mdat':
        position += int(struct.unpack_from('>I', data, position)[0])
    return int(struct.unpack_from('>I', data, position)[0]) - 8


JPEG = Codec('jpeg', range(1, 96), _jpeg, _pillow_decode, jpeg_payload)
WEBP = Codec('webp', range(0, 96), _pillow_encoder('WEBP', method=6), _pillow_decode, webp_payload)
# Speed 4 gains 0.13 dB at 0.02 to 0.08 bpp and takes nine times as long.
AVIF = Codec('avif', range(0, 96), _pillow_encoder('AVIF', speed=6), _pillow_decode, avif_payload)
AVIF_PAYLOAD = replace(AVIF, name='avif-payload', counted='payload')
X265 = Codec('x265', range(0, x265.MAX_QP + 1), x265.encode, x265.decode, x265.payload,
             side_multiple=2, min_side=x265.MIN_SIDE)
X265_PAYLOAD = replace(X265, name='x265-payload', counted='payload')
PEERS = {codec.name: codec for codec in (JPEG, WEBP, AVIF, AVIF_PAYLOAD, X265, X265_PAYLOAD)}
