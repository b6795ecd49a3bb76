"""What the base station tells the robot about what arrived (docs/LINK.md, section 6)."""
from __future__ import annotations

from dataclasses import dataclass
import struct

from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.wire.datagrams import LinkError

_REPORT = struct.Struct('<HHHHHHIH')
_ACK = struct.Struct('<BHH')
REPORT_BYTES = _REPORT.size
ACK_BYTES = _ACK.size
ACK_BITS = 16
_NOTHING_RECEIVED = 0xFFFF


@dataclass(frozen=True)
class Ack:
    """
    Pictures of a stream that arrived.

    Sequence number ``newest``, and ``newest - 1 - i`` for every bit i (0..15) set in ``before``.
    """

    stream_id: int
    newest: int
    before: int

    @property
    def sequences(self) -> list[int]:
        """All acknowledged sequence numbers, newest first."""
        return [self.newest] + [(self.newest - 1 - bit) % SEQUENCES
                                for bit in range(16) if self.before >> bit & 1]


@dataclass(frozen=True)
class ReportBody:
    """
    Body of REPORT: what the base station received in the last ``interval_ms``.

    ``boot``: low 16 bits of its boot id. ``newest``: highest datagram number received, or None;
    it arrived ``hold_ms`` before the report left. Times and counts saturate at 65534 and 65535.
    """

    boot: int
    newest: int | None
    hold_ms: int
    interval_ms: int
    received: int
    lost: int
    received_bytes: int
    queue_delay_ms: int
    acks: tuple[Ack, ...] = ()


def write_report(report: ReportBody) -> bytes:
    """Return the body."""
    hold = (_NOTHING_RECEIVED if report.newest is None
            else min(report.hold_ms, _NOTHING_RECEIVED - 1))
    most = SEQUENCES - 1
    body = _REPORT.pack(
        report.boot, report.newest or 0, hold, min(report.interval_ms, most),
        min(report.received, most), min(report.lost, most),
        min(report.received_bytes, (1 << 32) - 1), min(report.queue_delay_ms, most))
    return body + b''.join(_ACK.pack(ack.stream_id, ack.newest, ack.before)
                           for ack in report.acks)


def read_report(body: bytes) -> ReportBody:
    """Undo ``write_report``."""
    if len(body) < REPORT_BYTES or (len(body) - REPORT_BYTES) % ACK_BYTES:
        raise LinkError('report length', len(body), f'{REPORT_BYTES} + n * {ACK_BYTES}')
    boot, newest, hold, interval, received, lost, size, delay = _REPORT.unpack_from(body)
    acks = tuple(Ack(*_ACK.unpack_from(body, start))
                 for start in range(REPORT_BYTES, len(body), ACK_BYTES))
    nothing = hold == _NOTHING_RECEIVED
    return ReportBody(boot, None if nothing else newest, 0 if nothing else hold,
                      interval, received, lost, size, delay, acks)
