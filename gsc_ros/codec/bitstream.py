"""
The packet: one self-describing coded picture (docs/BITSTREAM.md has the byte table).

``pack`` and ``unpack`` are inverse to each other on every byte: what ``unpack`` accepts, ``pack``
turns into the same bytes again.
"""
from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
import struct

from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.codec.objects import BYTES_PER_OBJECT, MAX_OBJECTS

MAGIC = 0xC5
VERSION, SHORT_VERSION = 1, 2
MIN_SIDE = 16
MAX_SIDE = 4096
MAX_PACKET = 65535
MAX_CAPTION_BYTES = 255
MAX_OBJECT_BYTES = MAX_OBJECTS * BYTES_PER_OBJECT

_FLAG_REFERENCE = 0x01
_FLAG_TEXT_REPEATS = 0x02
_KNOWN_FLAGS = _FLAG_REFERENCE | _FLAG_TEXT_REPEATS
# magic, version and coder, flags, fingerprint, sides (3 bytes), quality, seed, sequence,
# caption length, object count; the CRC follows
_HEADER = struct.Struct('<BBBH3sBBHBB')
_CRC = struct.Struct('<H')
_LENGTHS = struct.Struct('<BB')     # of caption and object list
_CRC_START = 0xFFFF
HEADER_BYTES = _HEADER.size + _CRC.size
# Format 2, a predicted picture: marker (2 bits), distance (5), own text (1); sequence; the CRC
_SHORT_MARK, _MARK_BITS = 0x80, 0xC0
_SHORT_HEADER = struct.Struct('<BH')
SHORT_HEADER_BYTES = _SHORT_HEADER.size + _CRC.size
LENGTHS_BYTES = _LENGTHS.size
MAX_SHORT_DISTANCE = 32


class CoderId(IntEnum):
    """Wire ids of the picture coders, 0..15; append-only."""

    LEARNED = 1
    HEVC = 2


@dataclass(frozen=True)
class Packet:
    """
    Every field of a packet; ranges as in docs/BITSTREAM.md, section 2.

    ``width`` and ``height`` are the source picture's, 16..4096. ``fingerprint`` (16 bits) names
    the coder's model, ``quality`` (8 bits) belongs to the coder, ``seed`` (8 bits) starts the
    generator's noise. ``sequence`` (16 bits) wraps. ``reference`` is the distance back, 1..255,
    in sequence numbers to the picture that this one needs, or None for a picture on its own.
    With ``text_repeats`` caption and objects are those of that picture, and none are sent.

    ``version`` 2 is the short form of a predicted picture of the HEVC coder. It carries neither
    sides, fingerprint, quality nor seed: they are those of the picture that it refers to, and 0
    until that is known (``PlainPicture.packet``).
    """

    coder: CoderId
    width: int
    height: int
    fingerprint: int
    quality: int
    seed: int
    sequence: int
    reference: int | None
    caption: bytes
    objects: bytes
    latent: bytes
    text_repeats: bool = False
    version: int = VERSION

    @property
    def size(self) -> int:
        """Bytes of the packet as ``pack`` writes it."""
        if self.version == SHORT_VERSION:
            header = SHORT_HEADER_BYTES + (0 if self.text_repeats else _LENGTHS.size)
        else:
            header = HEADER_BYTES + (self.reference is not None)
        return header + len(self.caption) + len(self.objects) + len(self.latent)


def pack(packet: Packet) -> bytes:
    """
    Bytes of a packet: 16 of header, one more with a reference, then caption, objects, latent.

    Of format 2: 5 of header, two more with text of its own.

    :raises InvalidInputError: naming the first field that is outside its range.
    """
    _check(packet)
    if packet.version == SHORT_VERSION:
        return _pack_short(packet)
    sides = (packet.width - 1) << 12 | (packet.height - 1)
    head = _HEADER.pack(
        MAGIC, VERSION << 4 | packet.coder, _flags(packet), packet.fingerprint,
        sides.to_bytes(3, 'little'), packet.quality, packet.seed, packet.sequence,
        len(packet.caption), len(packet.objects) // BYTES_PER_OBJECT)
    body = b'' if packet.reference is None else bytes([packet.reference])
    body += packet.caption + packet.objects + packet.latent
    return head + _CRC.pack(_checksum(head, body)) + body


def _pack_short(packet: Packet) -> bytes:
    distance = (packet.reference or 1) - 1
    head = _SHORT_HEADER.pack(_SHORT_MARK | distance << 1 | (not packet.text_repeats),
                              packet.sequence)
    lengths = b'' if packet.text_repeats else _LENGTHS.pack(
        len(packet.caption), len(packet.objects) // BYTES_PER_OBJECT)
    body = lengths + packet.caption + packet.objects + packet.latent
    return head + _CRC.pack(_checksum(head, body)) + body


def sequence_place(data: bytes) -> slice:
    """Return where a packet of either format has its sequence number, a u16."""
    return slice(1, 3) if data[:1] and data[0] & _MARK_BITS == _SHORT_MARK else slice(10, 12)


def _flags(packet: Packet) -> int:
    reference = 0 if packet.reference is None else _FLAG_REFERENCE
    return reference | (_FLAG_TEXT_REPEATS if packet.text_repeats else 0)


def _checksum(head: bytes, body: bytes) -> int:
    return binascii.crc_hqx(body, binascii.crc_hqx(head, _CRC_START))


def _check(packet: Packet) -> None:
    sides = [] if packet.version == SHORT_VERSION else [
        ('width', packet.width, MIN_SIDE, MAX_SIDE),
        ('height', packet.height, MIN_SIDE, MAX_SIDE)]
    ranges = [*sides,
              ('version', packet.version, VERSION, SHORT_VERSION),
              ('fingerprint', packet.fingerprint, 0, 0xFFFF),
              ('quality', packet.quality, 0, 0xFF),
              ('seed', packet.seed, 0, 0xFF),
              ('sequence', packet.sequence, 0, 0xFFFF),
              ('caption length', len(packet.caption), 0, MAX_CAPTION_BYTES),
              ('objects length', len(packet.objects), 0, MAX_OBJECT_BYTES)]
    if packet.version == SHORT_VERSION:
        ranges.append(('reference', packet.reference or 0, 1, MAX_SHORT_DISTANCE))
        ranges.append(('coder', packet.coder, CoderId.HEVC, CoderId.HEVC))
    elif packet.reference is not None:
        ranges.append(('reference', packet.reference, 1, 0xFF))
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise InvalidInputError(name, value, f'{low}..{high}')
    if packet.coder not in list(CoderId):
        raise InvalidInputError('coder', packet.coder, [int(c) for c in CoderId])
    if len(packet.objects) % BYTES_PER_OBJECT:
        raise InvalidInputError('objects length', len(packet.objects),
                                f'a multiple of {BYTES_PER_OBJECT}')
    if packet.text_repeats and (packet.reference is None or packet.caption or packet.objects):
        raise InvalidInputError('text_repeats', True, 'with a reference, and without any text')
    if packet.size > MAX_PACKET:
        raise InvalidInputError('packet length', packet.size, f'at most {MAX_PACKET}')


def unpack(data: bytes) -> Packet:
    """
    Read a packet; lengths are checked before anything is copied.

    :raises PacketError: naming field, value and limit of the first thing that is wrong.
    """
    if data[:1] and data[0] & _MARK_BITS == _SHORT_MARK:
        return _unpack_short(data)
    if not HEADER_BYTES <= len(data) <= MAX_PACKET:
        raise PacketError('packet length', len(data), f'{HEADER_BYTES}..{MAX_PACKET}')
    head = data[:_HEADER.size]
    (magic, kind, flags, fingerprint, sides_bytes, quality, seed, sequence,
     caption_length, object_count) = _HEADER.unpack(head)
    coder = _check_kind(magic, kind, flags)
    _check_crc(head, data)
    width, height = _read_sides(sides_bytes)
    reference, start = _read_reference(data, flags)
    caption_end = start + caption_length
    objects_end = caption_end + object_count * BYTES_PER_OBJECT
    if objects_end > len(data):
        raise PacketError('packet length', len(data), f'at least {objects_end}')
    repeats = bool(flags & _FLAG_TEXT_REPEATS)
    if repeats and objects_end > start:
        raise PacketError('text length', objects_end - start, '0 where it repeats')
    return Packet(coder, width, height, fingerprint, quality, seed, sequence, reference,
                  bytes(data[start:caption_end]), bytes(data[caption_end:objects_end]),
                  bytes(data[objects_end:]), repeats)


def _unpack_short(data: bytes) -> Packet:
    if not SHORT_HEADER_BYTES <= len(data) <= MAX_PACKET:
        raise PacketError('packet length', len(data), f'{SHORT_HEADER_BYTES}..{MAX_PACKET}')
    head, body = data[:_SHORT_HEADER.size], data[SHORT_HEADER_BYTES:]
    (crc,) = _CRC.unpack_from(data, _SHORT_HEADER.size)
    if crc != _checksum(head, body):
        raise PacketError('crc', f'{crc:#06x}', f'{_checksum(head, body):#06x}')
    mark, sequence = _SHORT_HEADER.unpack(head)
    repeats = not mark & 1
    caption_end = objects_end = start = 0
    if not repeats:
        start = _LENGTHS.size
        caption_length, object_count = _LENGTHS.unpack(body[:start].ljust(start, b'\0'))
        caption_end = start + caption_length
        objects_end = caption_end + object_count * BYTES_PER_OBJECT
    if max(start, objects_end) > len(body):
        least = SHORT_HEADER_BYTES + max(start, objects_end)
        raise PacketError('packet length', len(data), f'at least {least}')
    return Packet(CoderId.HEVC, 0, 0, 0, 0, 0, sequence, (mark >> 1 & 0x1F) + 1,
                  bytes(body[start:caption_end]), bytes(body[caption_end:objects_end]),
                  bytes(body[objects_end:]), repeats, SHORT_VERSION)


def _check_kind(magic: int, kind: int, flags: int) -> CoderId:
    if magic != MAGIC:
        raise PacketError('magic', f'{magic:#04x}', f'{MAGIC:#04x}')
    version, coder = kind >> 4, kind & 0xF
    if version != VERSION:
        raise PacketError('version', version, VERSION)
    if coder not in list(CoderId):
        raise PacketError('coder', coder, [int(c) for c in CoderId])
    if flags & ~_KNOWN_FLAGS:
        raise PacketError('flags', f'{flags:#04x}', f'no bit outside {_KNOWN_FLAGS:#04x}')
    if flags == _FLAG_TEXT_REPEATS:
        raise PacketError('flags', f'{flags:#04x}', f'{_FLAG_REFERENCE:#04x} with it')
    return CoderId(coder)


def _check_crc(head: bytes, data: bytes) -> None:
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    expected = _checksum(head, data[HEADER_BYTES:])
    if crc != expected:
        raise PacketError('crc', f'{crc:#06x}', f'{expected:#06x}')


def _read_sides(data: bytes) -> tuple[int, int]:
    sides = int.from_bytes(data, 'little')
    width, height = (sides >> 12) + 1, (sides & 0xFFF) + 1
    for name, side in (('width', width), ('height', height)):
        if side < MIN_SIDE:
            raise PacketError(name, side, f'{MIN_SIDE}..{MAX_SIDE}')
    return width, height


def _read_reference(data: bytes, flags: int) -> tuple[int | None, int]:
    if not flags & _FLAG_REFERENCE:
        return None, HEADER_BYTES
    if len(data) <= HEADER_BYTES or not data[HEADER_BYTES]:
        raise PacketError('reference', bytes(data[HEADER_BYTES:HEADER_BYTES + 1]), '1..255')
    return data[HEADER_BYTES], HEADER_BYTES + 1
