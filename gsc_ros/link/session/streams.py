"""What a robot has to send of its streams, and in which order."""
from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque, OrderedDict
from dataclasses import dataclass, field

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire import fec
from gsc_ros.link.wire.blobs import (
    check_picture,
    FactsBlob,
    sequence_inside,
    STAMP_UNIT_NS,
    StreamFacts,
    write_facts,
    write_picture,
)
from gsc_ros.link.wire.datagrams import Fragment, FRAGMENT_BYTES, Head, Kind, PART_BYTES
from gsc_ros.link.wire.fragments import fragment_count, split
from gsc_ros.link.wire.reports import Ack
from gsc_ros.units import SECOND_NS

# Facts are repeated, with all their bytes within this share of the rate.
INFO_SHARE = 0.05
INFO_PERIOD_NS = 5 * SECOND_NS
# Facts that left so lately may still be on their way when a base station asks for them.
INFO_GAP_NS = 2 * SECOND_NS
# A stamp this far from the last one told is told at once: 32 bits would become ambiguous.
STAMP_JUMP_NS = (1 << 30) * STAMP_UNIT_NS
MAX_UNACKED = 64


@dataclass
class OutgoingMessage:
    """A blob on its way out: its fragments, or one part that is none."""

    stream_id: int
    head: Head
    parts: deque[tuple[Fragment | None, bytes]]
    offered_ns: int
    expires_ns: int | None = None   # when it is too late to go on with it
    sequence: int | None = None     # of a picture
    packet_bytes: int = 0

    @property
    def bytes_left(self) -> int:
        """Bytes that still have to leave, without headers."""
        return sum(len(payload) for _, payload in self.parts)


@dataclass(frozen=True)
class _Offer:
    sequence: int
    stamp_ns: int
    packet: bytes
    offered_ns: int


@dataclass
class _Stream:
    facts: StreamFacts | None = None
    facts_due_ns: int | None = None  # None: nothing to tell yet
    facts_sent_ns: int | None = None
    offer: _Offer | None = None
    group: int = 0
    stamp_ns: int = 0
    told_stamp_ns: int = 0
    unacked: OrderedDict[int, int] = field(default_factory=OrderedDict)  # sequence: bytes


class Streams:
    """Newest picture and facts of every stream; streams take turns."""

    def __init__(self, settings: LinkSettings, boot: int) -> None:
        """``boot``: random at every start of the robot."""
        self._settings, self._boot = settings, boot
        self._streams: dict[int, _Stream] = {}
        self.ids: list[int] = []  # all streams, in order
        self._turn = 0  # no stream below has the next turn, unless none above wants it
        self.overtaken = self.late = 0
        self.parity_share = 0.0  # parity per fragment of the last picture

    def describe(self, stream_id: int, facts: StreamFacts) -> None:
        """Take a stream's facts; news is told at once."""
        stream = self._stream(stream_id)
        if facts != stream.facts:
            stream.facts, stream.facts_due_ns, stream.facts_sent_ns = facts, 0, None

    def offer(self, stream_id: int, sequence: int, stamp_ns: int, packet: bytes,
              now_ns: int) -> None:
        """Take a picture; one of the stream that has not left yet is dropped."""
        check_picture(sequence, stamp_ns, packet, self._settings.largest_packet)
        stream = self._stream(stream_id)
        self.overtaken += stream.offer is not None
        stream.offer = _Offer(sequence, stamp_ns, packet, now_ns)
        stream.stamp_ns = stamp_ns
        if stream.facts and abs(stamp_ns - stream.told_stamp_ns) > STAMP_JUMP_NS:
            stream.facts_due_ns = 0

    def _stream(self, stream_id: int) -> _Stream:
        if not 0 <= stream_id <= 255:
            raise InvalidInputError('stream_id', stream_id, '0..255')
        if stream_id not in self._streams:
            self._streams[stream_id] = _Stream()
            insort(self.ids, stream_id)
        return self._streams[stream_id]

    def tell(self, stream_id: int | None, now_ns: int, *, again: bool = False) -> None:
        """Tell facts now, of all streams for None; unless they left lately, or ``again``."""
        for number, stream in self._streams.items():
            lately = (stream.facts_sent_ns is not None
                      and now_ns - stream.facts_sent_ns < INFO_GAP_NS)
            if stream.facts and stream_id in (None, number) and (again or not lately):
                stream.facts_due_ns = now_ns

    def next_message(self, now_ns: int, rate: int, loss: float) -> OutgoingMessage | None:
        """Return what to send next: in turn, a stream's facts if due, then its picture."""
        first = bisect_left(self.ids, self._turn)
        for number in self.ids[first:] + self.ids[:first]:
            stream = self._streams[number]
            if stream.facts_due_ns is not None and now_ns >= stream.facts_due_ns:
                return self._facts_message(number, stream, now_ns, rate, loss)
            offer, stream.offer = stream.offer, None
            if offer is None:
                continue
            if now_ns - offer.offered_ns > self._settings.stale_ns:
                self.late += 1
                continue
            self._turn = number + 1
            return self._picture_message(number, stream, offer, loss)
        return None

    def _facts_message(self, number: int, stream: _Stream, now_ns: int, rate: int,
                       loss: float) -> OutgoingMessage:
        assert stream.facts is not None
        blob = write_facts(FactsBlob(self._boot, stream.stamp_ns, stream.facts))
        message = self._message(number, Head(Kind.INFO), blob, now_ns, loss)
        size = message.bytes_left + len(message.parts) * (
            self._settings.overhead(Kind.INFO) + self._settings.overhead_bytes + PART_BYTES)
        period_ns = max(INFO_PERIOD_NS, int(size / (INFO_SHARE * rate) * SECOND_NS))
        stream.facts_sent_ns, stream.told_stamp_ns = now_ns, stream.stamp_ns
        stream.facts_due_ns = now_ns + len(self._streams) * period_ns
        return message

    def _picture_message(self, number: int, stream: _Stream, offer: _Offer,
                         loss: float) -> OutgoingMessage:
        blob = write_picture(offer.sequence, offer.stamp_ns, offer.packet)
        head = Head(Kind.DATA, inside=sequence_inside(offer.sequence, offer.packet))
        message = self._message(number, head, blob, offer.offered_ns, loss)
        message.expires_ns = offer.offered_ns + self._settings.stale_ns
        message.sequence, message.packet_bytes = offer.sequence, len(offer.packet)
        place = message.parts[0][0]
        self.parity_share = len(message.parts) / place.count - 1 if place else 0.0
        return message

    def _message(self, number: int, head: Head, blob: bytes, offered_ns: int,
                 loss: float) -> OutgoingMessage:
        room = self._settings.room(head.kind)
        if len(blob) <= room:
            return OutgoingMessage(number, head, deque([(None, blob)]), offered_ns)
        stream = self._streams[number]
        stream.group = (stream.group + 1) % 256
        room -= FRAGMENT_BYTES
        parity = fec.parity_count(self._settings.fec, fragment_count(len(blob), room), loss)
        head = Head(head.kind, fragmented=True, inside=head.inside)
        parts = split(blob, room, stream.group, parity)
        return OutgoingMessage(number, head, deque(parts), offered_ns)

    def sent(self, message: OutgoingMessage) -> None:
        """Note that all of a picture has left: it may be acknowledged now."""
        if message.sequence is not None:
            unacked = self._streams[message.stream_id].unacked
            unacked[message.sequence] = message.packet_bytes
            while len(unacked) > MAX_UNACKED:
                unacked.popitem(last=False)

    def acknowledged(self, ack: Ack) -> list[tuple[int, int]]:
        """Return sequence number and bytes of pictures that had not been acknowledged before."""
        stream = self._streams.get(ack.stream_id)
        if stream is None:
            return []
        return [(sequence, stream.unacked.pop(sequence)) for sequence in ack.sequences
                if sequence in stream.unacked]

    def waiting(self) -> tuple[int, int | None]:
        """Return bytes of pictures not begun, and when the oldest of them was offered."""
        offers = [stream.offer for stream in self._streams.values() if stream.offer]
        return (sum(len(offer.packet) for offer in offers),
                min((offer.offered_ns for offer in offers), default=None))
