"""What DATA and INFO carry once their fragments are joined: pictures and facts about streams."""
from __future__ import annotations

from dataclasses import dataclass
import struct

from gsc_ros.codec.bitstream import sequence_place
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.wire.datagrams import LinkError

STAMP_UNIT_NS = 100_000
MAX_PACKET = 65535
MAX_NAME_BYTES = 255
MAX_INFO_BYTES = 400
_STAMP = struct.Struct('<I')
_SEQUENCE = struct.Struct('<H')
_FACTS = struct.Struct('<IQBB')
_STAMP_RANGE = 1 << 32
PICTURE_BYTES = _STAMP.size + _SEQUENCE.size
MAX_BLOB = PICTURE_BYTES + MAX_PACKET


@dataclass(frozen=True)
class StreamFacts:
    """
    What a base station needs to know about a stream beside its pictures.

    ``name`` and ``frame_id`` take at most 255 bytes of UTF-8, ``info`` (opaque) at most 400.
    """

    name: str
    frame_id: str
    info: bytes

    def __post_init__(self) -> None:
        """Raise InvalidInputError for a part that is too long."""
        for field, size, most in (('name', len(self.name.encode()), MAX_NAME_BYTES),
                                  ('frame_id', len(self.frame_id.encode()), MAX_NAME_BYTES),
                                  ('info', len(self.info), MAX_INFO_BYTES)):
            if size > most:
                raise InvalidInputError(field, f'{size} bytes', f'at most {most}')


@dataclass(frozen=True)
class FactsBlob:
    """Facts with the robot's ``boot`` id and the full stamp of a late picture, 0 for none yet."""

    boot: int
    stamp_ns: int
    facts: StreamFacts


def sequence_inside(sequence: int, packet: bytes) -> bool:
    """Tell whether the packet itself says its sequence number."""
    return packet[sequence_place(packet)] == _SEQUENCE.pack(sequence)


def write_picture(sequence: int, stamp_ns: int, packet: bytes) -> bytes:
    """Return stamp, sequence number unless the packet has it, packet."""
    inside = sequence_inside(sequence, packet)
    stamp = stamp_ns // STAMP_UNIT_NS % _STAMP_RANGE
    return _STAMP.pack(stamp) + (b'' if inside else _SEQUENCE.pack(sequence)) + packet


def read_picture(blob: bytes, *, inside: bool) -> tuple[int, int, bytes]:
    """Return sequence number, low 32 bits of the stamp, packet."""
    start = _STAMP.size + (0 if inside else _SEQUENCE.size)
    packet = blob[start:]
    place = sequence_place(packet)
    least = start + (place.stop if inside else 1)
    if not least <= len(blob) <= MAX_BLOB:
        raise LinkError('picture length', len(blob), f'{least}..{MAX_BLOB}')
    (stamp,) = _STAMP.unpack_from(blob)
    (sequence,) = _SEQUENCE.unpack(packet[place] if inside else blob[_STAMP.size:start])
    return sequence, stamp, packet


def expand_stamp(stamp: int, near_ns: int) -> int:
    """Full stamp [ns] with these low 32 bits (in 0.1 ms) that is nearest to ``near_ns``."""
    near = near_ns // STAMP_UNIT_NS
    half = _STAMP_RANGE // 2
    full = near + (stamp - near + half) % _STAMP_RANGE - half
    return (full if full >= 0 else full + _STAMP_RANGE) * STAMP_UNIT_NS


def write_facts(blob: FactsBlob) -> bytes:
    """Return boot id, stamp, lengths, name, frame id, info."""
    name, frame_id = blob.facts.name.encode(), blob.facts.frame_id.encode()
    return (_FACTS.pack(blob.boot, blob.stamp_ns // STAMP_UNIT_NS, len(name), len(frame_id))
            + name + frame_id + blob.facts.info)


def read_facts(data: bytes) -> FactsBlob:
    """Undo ``write_facts``, the stamp but for what is below 0.1 ms."""
    if len(data) < _FACTS.size:
        raise LinkError('facts length', len(data), f'at least {_FACTS.size}')
    boot, stamp, name_length, frame_length = _FACTS.unpack_from(data)
    name_end = _FACTS.size + name_length
    info_start = name_end + frame_length
    if not info_start <= len(data) <= info_start + MAX_INFO_BYTES:
        raise LinkError('facts length', len(data),
                        f'{info_start}..{info_start + MAX_INFO_BYTES}')
    if stamp >= 1 << 47:
        raise LinkError('facts stamp', stamp, f'below {1 << 47}')
    try:
        name = data[_FACTS.size:name_end].decode()
        frame_id = data[name_end:info_start].decode()
    except UnicodeDecodeError as error:
        raise LinkError('facts text', error, 'UTF-8') from error
    return FactsBlob(boot, stamp * STAMP_UNIT_NS,
                     StreamFacts(name, frame_id, data[info_start:]))


def check_picture(sequence: int, stamp_ns: int, packet: bytes, largest: int) -> None:
    """Raise InvalidInputError naming what of a picture cannot be sent."""
    if not 0 <= sequence < SEQUENCES:
        raise InvalidInputError('sequence', sequence, f'0..{SEQUENCES - 1}')
    if not 0 <= stamp_ns < 1 << 63:
        raise InvalidInputError('stamp_ns', stamp_ns, '0..2^63 - 1')
    if not 1 <= len(packet) <= largest:
        raise InvalidInputError('packet length', len(packet), f'1..{largest}')
