"""
A stream's facts (StreamInfo) in as few bytes as they need, to cross the thin link.

Little-endian: version u8, coder, fingerprint u16, width u16, height u16, max_rate f32,
bytes_per_second u32, max_bytes u16, then the calibration unless it is unknown. A word (coder,
distortion model) is one byte that names a known one, or 255, length u8 and UTF-8. Calibration:
width u16, height u16, distortion model, number of coefficients u8 and f32 each, a mask u32 of
those of the 30 values of K, R and P that are not what is expected (K: all 0 but the last, 1; R:
identity; P: K beside a column of 0), those values as f32, then binning and region of interest in
seven u16 if a flag says so. Calibration thus keeps seven digits.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import struct

from gsc_ros.codec.errors import InvalidInputError, PacketError

VERSION = 1
MAX_BYTES = 400
MAX_WORD = 32
MAX_COEFFICIENTS = 32
# Append only: the index is on the wire.
CODERS = ('auto', 'learned', 'hevc')
DISTORTION_MODELS = ('', 'plumb_bob', 'rational_polynomial', 'equidistant')
OTHER_WORD = 255
NO_CALIBRATION, CALIBRATION, CALIBRATION_AND_REGION = range(3)
_FIXED = struct.Struct('<HHHfIHB')
_REGION = struct.Struct('<7H')
_K_EXPECTED = (0.0,) * 8 + (1.0,)
_R_EXPECTED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Calibration:
    """sensor_msgs/CameraInfo without its header; ``region`` is x, y, height, width, rectify."""

    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning: tuple[int, int] = (0, 0)
    region: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)


@dataclass(frozen=True)
class InfoFacts:
    """gsc_msgs/StreamInfo without its header; ``calibration`` is None where it is unknown."""

    coder: str
    fingerprint: int
    width: int
    height: int
    max_rate: float
    bytes_per_second: int
    max_bytes: int
    calibration: Calibration | None = field(default=None)


def pack_info(facts: InfoFacts) -> bytes:
    """
    Write facts in at most MAX_BYTES bytes, about 90 with a usual calibration.

    :raises InvalidInputError: if a field does not fit its place.
    """
    known = facts.calibration
    kind = NO_CALIBRATION if known is None else (
        CALIBRATION_AND_REGION if any(known.binning + known.region) else CALIBRATION)
    try:
        return b''.join((
            bytes([VERSION]), _pack_word(facts.coder, CODERS),
            _FIXED.pack(facts.fingerprint, facts.width, facts.height, facts.max_rate,
                        facts.bytes_per_second, facts.max_bytes, kind),
            _pack_calibration(known) if known else b''))
    except (struct.error, OverflowError, ValueError) as error:
        raise InvalidInputError('stream info', facts, f'fields of its format ({error})') from error


def unpack_info(data: bytes) -> InfoFacts:
    """
    Read what ``pack_info`` wrote.

    :raises PacketError: if it is cut, too long, or of another version.
    """
    reader = _Reader(data)
    version = reader.byte()
    if version != VERSION:
        raise PacketError('stream info version', version, VERSION)
    coder = reader.word(CODERS)
    fingerprint, width, height, max_rate, speed, max_bytes, kind = reader.take(_FIXED)
    if kind > CALIBRATION_AND_REGION:
        raise PacketError('stream info calibration kind', kind, f'0..{CALIBRATION_AND_REGION}')
    calibration = _unpack_calibration(reader, kind) if kind else None
    reader.end()
    return InfoFacts(coder, fingerprint, width, height, max_rate, speed, max_bytes, calibration)


def _pack_calibration(known: Calibration) -> bytes:
    if len(known.d) > MAX_COEFFICIENTS:
        raise InvalidInputError('distortion coefficients', len(known.d), f'0..{MAX_COEFFICIENTS}')
    k, r, p = _single(known.k, 9), _single(known.r, 9), _single(known.p, 12)
    pairs = list(zip((*k, *r, *p), (*_K_EXPECTED, *_R_EXPECTED, *_p_expected(k)), strict=True))
    unexpected = [index for index, (value, expected) in enumerate(pairs) if value != expected]
    return b''.join((
        struct.pack('<HH', known.width, known.height),
        _pack_word(known.distortion_model, DISTORTION_MODELS),
        struct.pack(f'<B{len(known.d)}f', len(known.d), *known.d),
        struct.pack(f'<I{len(unexpected)}f', sum(1 << index for index in unexpected),
                    *(pairs[index][0] for index in unexpected)),
        _REGION.pack(*known.binning, *known.region)
        if any(known.binning + known.region) else b''))


def _unpack_calibration(reader: _Reader, kind: int) -> Calibration:
    width, height = reader.take(struct.Struct('<HH'))
    model = reader.word(DISTORTION_MODELS)
    count = reader.byte()
    if count > MAX_COEFFICIENTS:
        raise PacketError('distortion coefficients', count, f'0..{MAX_COEFFICIENTS}')
    d = reader.take(struct.Struct(f'<{count}f'))
    mask, = reader.take(struct.Struct('<I'))
    if mask >> 30:
        raise PacketError('calibration mask', hex(mask), '30 bits')
    k = _fill(reader, mask, _K_EXPECTED)
    r = _fill(reader, mask >> 9, _R_EXPECTED)
    p = _fill(reader, mask >> 18, _p_expected(k))
    region = reader.take(_REGION) if kind == CALIBRATION_AND_REGION else (0,) * 7
    return Calibration(width, height, model, d, k, r, p, region[:2], region[2:])


def _fill(reader: _Reader, mask: int, expected: Sequence[float]) -> tuple[float, ...]:
    return tuple(reader.take(struct.Struct('<f'))[0] if mask >> index & 1 else value
                 for index, value in enumerate(expected))


def _p_expected(k: Sequence[float]) -> tuple[float, ...]:
    return (*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0)


def _single(values: Sequence[float], count: int) -> tuple[float, ...]:
    """Round to single precision, so that both ends compare the same values."""
    layout = f'<{count}f'
    return struct.unpack(layout, struct.pack(layout, *values))


def _pack_word(word: str, known: Sequence[str]) -> bytes:
    if word in known:
        return bytes([known.index(word)])
    text = word.encode()
    if len(text) > MAX_WORD:
        raise InvalidInputError('word', word, f'at most {MAX_WORD} bytes')
    return bytes([OTHER_WORD, len(text)]) + text


class _Reader:
    """Takes fields from the front of a few bytes; PacketError where they end too soon."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise PacketError('stream info bytes', len(data), f'at most {MAX_BYTES}')
        self._data, self._at = data, 0

    def raw(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise PacketError('stream info bytes', len(self._data), f'{self._at + size} or more')
        self._at += size
        return self._data[self._at - size:self._at]

    def byte(self) -> int:
        return self.raw(1)[0]

    def take(self, layout: struct.Struct) -> tuple:
        return layout.unpack(self.raw(layout.size))

    def word(self, known: Sequence[str]) -> str:
        index = self.byte()
        if index != OTHER_WORD and index >= len(known):
            raise PacketError('stream info word', index, f'below {len(known)}, or {OTHER_WORD}')
        if index != OTHER_WORD:
            return known[index]
        size = self.byte()
        if size > MAX_WORD:
            raise PacketError('stream info word length', size, f'at most {MAX_WORD}')
        try:
            return self.raw(size).decode()
        except UnicodeDecodeError as error:
            raise PacketError('stream info word', 'not text', 'UTF-8') from error

    def end(self) -> None:
        if self._at != len(self._data):
            raise PacketError('stream info bytes', len(self._data), self._at)
