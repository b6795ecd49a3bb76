"""Settings of a link and what an endpoint tells about its state."""
from __future__ import annotations

from dataclasses import dataclass, field

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire import fec
from gsc_ros.link.wire.blobs import MAX_PACKET, PICTURE_BYTES
from gsc_ros.link.wire.crypto import KEY_BYTES, SEALED_BYTES
from gsc_ros.link.wire.datagrams import (
    FRAGMENT_BYTES,
    Kind,
    MAX_DATAGRAM,
    MIN_MTU,
    PART_BYTES,
    plain_overhead,
)
from gsc_ros.units import SECOND_NS

SHORTEST_PERIOD_NS = 50_000_000
LONGEST_PERIOD_NS = 60 * SECOND_NS
LEAST_SILENCE_NS = 4 * SECOND_NS
PARTS = ('pictures', 'info', 'control', 'fec', 'overhead')


@dataclass(frozen=True)
class LinkSettings:
    """
    Both ends have their own; ``mtu``, ``fec`` and rates need not agree, ``key`` must.

    ``bytes_per_second``: ceiling of what this side sends in any second, on the wire. ``floor``:
    least rate that adaptation falls to. ``adapt``: follow what the link carries. ``mtu``: 64..1500
    bytes of a datagram, link header included. ``overhead_bytes``: what the transport adds to a
    datagram. ``fec``: parity fragments 'off', 'on', 'adaptive'. ``key``: 32 bytes, or None for a
    link that anyone may speak on. ``report_period_ns``: 0.05..60 s between two reports of the
    base station. ``stale_ns``: a picture offered longer ago than this is not sent.

    :raises InvalidInputError: naming the first that is outside its range.
    :raises MissingDependencyError: for fec without zfec.
    """

    bytes_per_second: int
    floor: int
    adapt: bool
    mtu: int
    overhead_bytes: int
    fec: fec.Mode
    report_period_ns: int
    stale_ns: int
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, low, high in (
                ('mtu', self.mtu, MIN_MTU, MAX_DATAGRAM),
                ('overhead_bytes', self.overhead_bytes, 0, 255),
                ('bytes_per_second', self.bytes_per_second, MIN_MTU + self.overhead_bytes,
                 1 << 31),
                ('floor', self.floor, 1, self.bytes_per_second),
                ('report_period_ns', self.report_period_ns, SHORTEST_PERIOD_NS,
                 LONGEST_PERIOD_NS),
                ('stale_ns', self.stale_ns, 1, 1 << 62)):
            if not low <= value <= high:
                raise InvalidInputError(name, value, f'{low}..{high}')
        if self.key is not None and len(self.key) != KEY_BYTES:
            raise InvalidInputError('key', f'{len(self.key)} bytes', f'{KEY_BYTES} bytes')
        fec.check(self.fec)

    @property
    def largest_datagram(self) -> int:
        """Bytes of the largest datagram: one that does not fit into a second never leaves."""
        return min(self.mtu, self.bytes_per_second - self.overhead_bytes)

    @property
    def silence_ns(self) -> int:
        """After so long without a datagram the other side counts as gone."""
        return max(LEAST_SILENCE_NS, 3 * self.report_period_ns)

    def overhead(self, kind: Kind) -> int:
        """Bytes that framing adds to a body."""
        return plain_overhead(kind) if self.key is None else SEALED_BYTES

    def room(self, kind: Kind) -> int:
        """Bytes of a blob that fit into one datagram that is not a fragment."""
        return self.largest_datagram - self.overhead(kind) - PART_BYTES

    @property
    def largest_packet(self) -> int:
        """Bytes of the largest picture that can be sent; near it there is no room for parity."""
        return min(MAX_PACKET, (self.room(Kind.DATA) - FRAGMENT_BYTES) * fec.MAX_FRAGMENTS
                   - PICTURE_BYTES - 1)


@dataclass(frozen=True)
class LinkState:
    """
    What one side knows about the link.

    ``connected``: the other side was heard lately; ``silent_ns`` since then, None if never.
    ``rate`` and ``goodput``: wire bytes per second allowed, picture bytes per second that
    arrived. ``loss``: 0..1 of the datagrams to the base station. ``queue_bytes``, ``queue_ns``:
    what waits to leave and for how long. ``queue_delay_ns``: of the link itself.
    ``bytes_by_part``: wire bytes sent so far by ``PARTS``; they sum up to counter ``sent_bytes``.
    """

    connected: bool
    silent_ns: int | None
    rate: int
    goodput: float
    loss: float
    round_trip_ns: int | None
    queue_bytes: int
    queue_ns: int
    queue_delay_ns: int
    counters: dict[str, int]
    bytes_by_part: dict[str, int]
