"""Standard picture codecs at their best scale and quality under a byte ceiling."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import io
import struct
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation import x265
import numpy as np
from PIL import Image

SCALES = (1, 2, 4, 8)
Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class PeerPicture:
    """What a peer made of one picture under one ceiling."""

    picture: np.ndarray   # (H, W, 3) uint8, the source's size
    size: int             # bytes of the whole file, as a receiver would need it
    payload: int          # of these without the container
    scale: int            # the picture was shrunk by this factor
    quality: int          # the codec's own quality setting
    exceeded: int         # bytes above the ceiling; 0 if it fits


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


JPEG = Codec('jpeg', range(1, 96),
             _pillow_encoder('JPEG', optimize=True, progressive=True, subsampling='4:2:0'),
             _pillow_decode, jpeg_payload)
WEBP = Codec('webp', range(0, 96), _pillow_encoder('WEBP', method=6), _pillow_decode, webp_payload)
AVIF = Codec('avif', range(0, 96), _pillow_encoder('AVIF', speed=6), _pillow_decode, avif_payload)
AVIF_PAYLOAD = replace(AVIF, name='avif-payload', counted='payload')
X265 = Codec('x265', range(0, x265.MAX_QP + 1), x265.encode, x265.decode, x265.payload,
             side_multiple=2, min_side=x265.MIN_SIDE)
X265_PAYLOAD = replace(X265, name='x265-payload', counted='payload')
PEERS = {codec.name: codec for codec in (JPEG, WEBP, AVIF, AVIF_PAYLOAD, X265, X265_PAYLOAD)}


class PeerEncoder:
    """One picture's encodings by one codec; ceilings share the work."""

    def __init__(self, codec: Codec, picture: np.ndarray) -> None:
        self.codec, self.picture = codec, picture
        height, width = picture.shape[:2]
        unit = codec.side_multiple
        sizes = {scale: (unit * max(1, round(width / scale / unit)),
                         unit * max(1, round(height / scale / unit))) for scale in SCALES}
        self._shrunk = {
            scale: Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
            for scale, size in sizes.items() if min(size) >= codec.min_side}
        if not self._shrunk:
            raise InvalidInputError('picture side', min(width, height),
                                    f'at least {codec.min_side} for {codec.name}')
        self._files: dict[tuple[int, int], bytes] = {}
        self._decoded: dict[tuple[int, int], np.ndarray] = {}

    @property
    def scales(self) -> list[int]:
        """Factors by which this picture can be shrunk for this codec."""
        return list(self._shrunk)

    def file(self, scale: int, quality: int) -> bytes:
        """Encode, or take what was encoded before."""
        key = scale, quality
        if key not in self._files:
            self._files[key] = self.codec.encode(self._shrunk[scale], quality)
        return self._files[key]

    def decoded(self, scale: int, quality: int) -> np.ndarray:
        """Decode and enlarge to the source's size."""
        key = scale, quality
        if key not in self._decoded:
            small = Image.fromarray(self.codec.decode(self.file(scale, quality)))
            height, width = self.picture.shape[:2]
            self._decoded[key] = np.asarray(
                small.resize((width, height), Image.Resampling.BICUBIC))
        return self._decoded[key]

    def best_quality(self, scale: int, max_bytes: int) -> int | None:
        """
        Find the highest quality that fits by bisection; None if not even the lowest does.

        Sizes are monotone but for single bytes, so the answer fits always and is the best
        within a step.
        """
        low, high = self.codec.qualities[0], self.codec.qualities[-1]
        if self.codec.cost(self.file(scale, low)) > max_bytes:
            return None
        while low < high:
            middle = (low + high + 1) // 2
            if self.codec.cost(self.file(scale, middle)) <= max_bytes:
                low = middle
            else:
                high = middle - 1
        return low

    def best(self, max_bytes: int, distance: Distance) -> PeerPicture:
        """
        Take the scale whose picture is nearest to the original by ``distance``.

        Where no file fits, the smallest there is, with ``exceeded`` above 0.
        """
        if max_bytes < 1:
            raise InvalidInputError('max_bytes', max_bytes, '1 or more')
        options = [(scale, quality) for scale in self.scales
                   if (quality := self.best_quality(scale, max_bytes)) is not None]
        if options:
            return self._result(
                min(options, key=lambda o: distance(self.decoded(*o), self.picture)), max_bytes)
        lowest = self.codec.qualities[0]
        scale = min(self.scales, key=lambda s: self.codec.cost(self.file(s, lowest)))
        return self._result((scale, lowest), max_bytes)

    def _result(self, option: tuple[int, int], max_bytes: int) -> PeerPicture:
        data = self.file(*option)
        return PeerPicture(self.decoded(*option), len(data), self.codec.payload(data), *option,
                           max(0, self.codec.cost(data) - max_bytes))
