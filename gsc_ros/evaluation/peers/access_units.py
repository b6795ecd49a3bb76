"""What a coded video picture consists of: NAL units of H.264 and H.265, OBUs of AV1."""
from __future__ import annotations

from collections.abc import Iterator

from gsc_ros.codec.errors import PacketError

# H.264 table 7-1, H.265 table 7-1, AV1 section 6.2.2
_H264_SLICES, _H264_SEI = range(1, 6), 6
_H265_FIRST_NON_SLICE = 32
_USER_DATA_UNREGISTERED = 5
_AV1_PICTURE, _AV1_TEMPORAL_DELIMITER = (3, 4, 6), 2


def nal_units(data: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B stream, without their start codes."""
    for part in data.split(b'\0\0\1')[1:]:
        yield part.rstrip(b'\0')     # a unit never ends in a zero: the rest is padding


def without_notes(data: bytes) -> bytes:
    """H.264 access unit without unregistered user data: x264 signs a stream with 700 bytes."""
    return b''.join(b'\0\0\1' + unit for unit in nal_units(data)
                    if not (unit[0] & 31 == _H264_SEI and unit[1] == _USER_DATA_UNREGISTERED))


def h264_payload(data: bytes) -> int:
    """Bytes of the slices: without parameter sets, notes and start codes."""
    return sum(len(unit) for unit in nal_units(data) if unit[0] & 31 in _H264_SLICES)


def h265_payload(data: bytes) -> int:
    """Bytes of the slices: without parameter sets, notes and start codes."""
    return sum(len(unit) for unit in nal_units(data)
               if unit[0] >> 1 & 0x3F < _H265_FIRST_NON_SLICE)


def obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """
    Type and whole bytes of each AV1 open bitstream unit (AV1 section 5.3).

    :raises PacketError: if a unit has no size field, so that its end is not known.
    """
    position = 0
    while position < len(data):
        head = data[position]
        if not head & 2:
            raise PacketError('OBU header', head, 'a unit with a size field')
        size, start = _leb128(data, position + 1 + (head >> 2 & 1))
        yield head >> 3 & 15, data[position:start + size]
        position = start + size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Value and the position behind it (AV1 section 4.10.5)."""
    value = 0
    for i, byte in enumerate(data[position:position + 8]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise PacketError('OBU size', data[position:position + 8].hex(), 'a leb128 number')


def without_delimiters(data: bytes) -> bytes:
    """AV1 temporal unit as it goes into packets: temporal delimiters are left out there."""
    return b''.join(unit for kind, unit in obus(data) if kind != _AV1_TEMPORAL_DELIMITER)


def av1_payload(data: bytes) -> int:
    """Bytes of frames and tile groups: without sequence headers and metadata."""
    return sum(len(unit) for kind, unit in obus(data) if kind in _AV1_PICTURE)
