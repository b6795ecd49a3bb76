"""
Datagrams of the link, byte for byte (docs/LINK.md): first byte, plain framing, bodies.

Readers check every length before they copy anything and raise LinkError; writers raise
InvalidInputError. Numbers are little-endian.
"""
from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
import math
import struct

from gsc_ros.codec.errors import InvalidInputError, PacketError

VERSION = 2
MIN_MTU = 64
MAX_DATAGRAM = 1500
MAX_VALUES = 8

_CLEAR = struct.Struct('<BBH')
_CRC = struct.Struct('<H')
_PART = struct.Struct('<BH')
_FRAGMENT = struct.Struct('<BBB')
_REQUEST = struct.Struct('<HBHBB')
_AGE_NS = 100_000_000
_OLDEST = 255
PLAIN_BYTES = _CLEAR.size
PART_BYTES = _PART.size
FRAGMENT_BYTES = _FRAGMENT.size

_SEALED, _FRAGMENTED, _INSIDE = 0x20, 0x02, 0x01
_ALL_STREAMS = 0x80


class LinkError(PacketError):
    """A datagram that cannot be read; ``counter`` is where endpoints count it."""

    counter = 'malformed'


class OtherVersionError(LinkError):
    """A datagram of another version of this protocol; ``value`` is its version."""

    counter = 'other_version'


class Kind(IntEnum):
    """Datagram kinds, 0..7; append-only."""

    DATA = 0     # robot to base: a picture or a fragment of one
    INFO = 1     # robot to base: facts about a stream or a fragment of them
    REPORT = 2   # base to robot: what arrived
    REQUEST = 3  # base to robot: something to do
    DONE = 4     # robot to base: requests that arrived; with none of them a sign of life
    HELLO = 5    # with a key only: robot to base, asks for a session; base to robot: say HELLO
    ANSWER = 6   # base to robot, with a key only: answers HELLO, begins a session


_KINDS = {int(kind): kind for kind in Kind}


class RequestKind(IntEnum):
    """What a base station asks for, 0..127; append-only. In brackets: the values."""

    REFRESH = 0   # () a picture that stands alone
    RATE = 1      # (wire bytes per second)
    QUALITY = 2   # (0..1)
    ROI = 3       # (x0, y0, x1, y1) in 0..1, or () for none
    PAUSE = 4     # ()
    RESUME = 5    # ()
    PRIORITY = 6  # (weight)
    FACTS = 7     # () answered by the robot's endpoint itself


@dataclass(frozen=True)
class Head:
    """
    First byte of a datagram.

    ``fragmented``: the body has a fragment header (DATA, INFO). ``inside``: a picture's sequence
    number is not sent because bytes 10 and 11 of its packet are it (DATA).
    """

    kind: Kind
    sealed: bool = False
    fragmented: bool = False
    inside: bool = False


@dataclass(frozen=True)
class Datagram:
    """
    An opened datagram.

    ``number`` counts what its sender sent, modulo 2^16; ``run`` tells the starts of its sender
    apart: 8 bits without a key, 64 with one.
    """

    head: Head
    number: int
    body: bytes
    run: int = 0


def write_head(head: Head) -> bytes:
    """Return the first byte."""
    return bytes([VERSION << 6 | head.sealed * _SEALED | head.kind << 2
                  | head.fragmented * _FRAGMENTED | head.inside * _INSIDE])


def read_head(datagram: bytes) -> Head:
    """Read the first byte; LinkError for what no sender of this version writes."""
    if not 1 <= len(datagram) <= MAX_DATAGRAM:
        raise LinkError('datagram length', len(datagram), f'1..{MAX_DATAGRAM}')
    first = datagram[0]
    if first >> 6 != VERSION:
        raise OtherVersionError('link version', first >> 6, f'{VERSION} at both ends')
    if first >> 2 & 7 not in _KINDS:
        raise LinkError('kind', first >> 2 & 7, sorted(_KINDS))
    head = Head(_KINDS[first >> 2 & 7], bool(first & _SEALED), bool(first & _FRAGMENTED),
                bool(first & _INSIDE))
    if head.fragmented and head.kind not in (Kind.DATA, Kind.INFO):
        raise LinkError('fragmented', head.kind.name, 'DATA or INFO')
    if head.inside and head.kind is not Kind.DATA:
        raise LinkError('sequence inside', head.kind.name, 'DATA')
    return head


def write_plain(head: Head, number: int, body: bytes, run: int = 0) -> bytes:
    """
    Frame a body without a key; all but pictures, which have their own, get a CRC.

    :param number: 0..65535.
    :param run: 0..255.
    """
    data = _CLEAR.pack(write_head(head)[0], run, number) + body
    return data if head.kind is Kind.DATA else data + _CRC.pack(_checksum(data))


def read_plain(datagram: bytes) -> Datagram:
    """Undo ``write_plain``."""
    head = read_head(datagram)
    end = len(datagram)
    if head.kind is not Kind.DATA:
        end -= _CRC.size
    if end < PLAIN_BYTES:
        raise LinkError('datagram length', len(datagram), f'at least {PLAIN_BYTES}')
    if head.kind is not Kind.DATA:
        expected = _checksum(datagram[:end])
        if _CRC.unpack_from(datagram, end)[0] != expected:
            raise LinkError('crc', datagram[end:].hex(), f'{expected:#06x}')
    _, run, number = _CLEAR.unpack_from(datagram)
    return Datagram(head, number, datagram[PLAIN_BYTES:end], run)


def plain_overhead(kind: Kind) -> int:
    """Bytes that plain framing adds to a body."""
    return PLAIN_BYTES + (0 if kind is Kind.DATA else _CRC.size)


def _checksum(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)


@dataclass(frozen=True)
class Fragment:
    """
    Place of a fragment: ``index`` 0..254 in group ``group`` (modulo 256) of its stream.

    ``count`` fragments, 2..255, are enough to rebuild the whole; those from ``index`` ``count``
    on are parity.
    """

    group: int
    index: int
    count: int


@dataclass(frozen=True)
class Part:
    """Body of DATA and INFO: a blob or one fragment of it, and when it left the robot [ms]."""

    stream_id: int
    sent_ms: int
    fragment: Fragment | None
    payload: bytes


def write_part(part: Part) -> bytes:
    """Return the body."""
    place = part.fragment
    return (_PART.pack(part.stream_id, part.sent_ms)
            + (_FRAGMENT.pack(place.group, place.index, place.count) if place else b'')
            + part.payload)


def read_part(datagram: Datagram) -> Part:
    """Undo ``write_part``."""
    body = datagram.body
    start = PART_BYTES + datagram.head.fragmented * FRAGMENT_BYTES
    if len(body) <= start:
        raise LinkError('body length', len(body), f'above {start}')
    stream_id, sent_ms = _PART.unpack_from(body)
    fragment = None
    if datagram.head.fragmented:
        fragment = Fragment(*_FRAGMENT.unpack_from(body, PART_BYTES))
        if fragment.count < 2:
            raise LinkError('fragment count', fragment.count, '2..255')
        if fragment.index == 255:
            raise LinkError('fragment index', fragment.index, '0..254')
    return Part(stream_id, sent_ms, fragment, body[start:])


@dataclass(frozen=True)
class Request:
    """What the base station asks for; ``stream_id`` None: of all streams."""

    stream_id: int | None
    kind: RequestKind
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise InvalidInputError for what cannot be sent; values become float32."""
        if self.stream_id is not None and not 0 <= self.stream_id <= 255:
            raise InvalidInputError('stream_id', self.stream_id, '0..255')
        if len(self.values) > MAX_VALUES:
            raise InvalidInputError('values', len(self.values), f'at most {MAX_VALUES}')
        for value in self.values:
            if not abs(value) <= 3.4e38:
                raise InvalidInputError('value', value, 'a finite float32')
        object.__setattr__(self, 'values', struct.unpack(
            f'<{len(self.values)}f', struct.pack(f'<{len(self.values)}f', *self.values)))


@dataclass(frozen=True)
class RequestBody:
    """
    Body of REQUEST: a request on its way, and what bounds how late it may come.

    ``age_ns``: since it was asked for; on the wire in steps of 0.1 s, rounded up, at most 25.5 s.
    ``newest``: number of the robot's newest datagram that the base station had when this left.
    """

    id: int
    request: Request
    age_ns: int
    newest: int


def write_request(body: RequestBody) -> bytes:
    """Return the body of REQUEST."""
    request = body.request
    every = request.stream_id is None
    return (_REQUEST.pack(body.id, min(-(-body.age_ns // _AGE_NS), _OLDEST), body.newest,
                          request.kind | every * _ALL_STREAMS, request.stream_id or 0)
            + struct.pack(f'<{len(request.values)}f', *request.values))


def read_request(body: bytes) -> RequestBody:
    """Undo ``write_request``, the age but for the rounding."""
    count = (len(body) - _REQUEST.size) // 4
    if not 0 <= count <= MAX_VALUES or len(body) != _REQUEST.size + 4 * count:
        raise LinkError('request length', len(body), f'{_REQUEST.size} + 4 * 0..{MAX_VALUES}')
    request_id, age, newest, kind, stream_id = _REQUEST.unpack_from(body)
    if kind & ~_ALL_STREAMS not in set(RequestKind):
        raise LinkError('request kind', kind & ~_ALL_STREAMS, [int(k) for k in RequestKind])
    if kind & _ALL_STREAMS and stream_id:
        raise LinkError('stream_id', stream_id, '0 in a request for all streams')
    values = struct.unpack_from(f'<{count}f', body, _REQUEST.size)
    if not all(math.isfinite(value) and abs(value) <= 3.4e38 for value in values):
        raise LinkError('request values', values, 'finite')
    request = Request(None if kind & _ALL_STREAMS else stream_id,
                      RequestKind(kind & ~_ALL_STREAMS), values)
    return RequestBody(request_id, request, age * _AGE_NS, newest)


def write_done(request_ids: list[int]) -> bytes:
    """Return the body of DONE."""
    return struct.pack(f'<{len(request_ids)}H', *request_ids)


def read_done(body: bytes) -> list[int]:
    """Undo ``write_done``."""
    if len(body) % 2:
        raise LinkError('done length', len(body), 'even')
    return list(struct.unpack(f'<{len(body) // 2}H', body))
