"""What an emulated line does to datagrams, and how users say it."""
from __future__ import annotations

import argparse
from dataclasses import dataclass
import socket

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.transports.udp import IP_AND_UDP_BYTES
from gsc_ros.units import SECOND_NS


@dataclass(frozen=True)
class LineSettings:
    """
    What a line does to datagrams.

    ``kbps``: 1000 bit/s, or pairs of (seconds from the start, 1000 bit/s) in order of time, the
    first from 0. ``jitter_s`` is added evenly between 0 and this. ``loss`` and ``doubled`` are
    shares of the datagrams; with ``burst_s`` they are lost in bursts of this mean length (see
    ``emulator.Losses``). ``queue_bytes`` may wait for the line, the oldest give way.
    ``header_bytes`` go with each datagram on the wire.

    :raises InvalidInputError: naming the first that is outside its range.
    """

    kbps: float | tuple[tuple[float, float], ...] = 64.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    burst_s: float = 0.0
    doubled: float = 0.0
    in_order: bool = True
    queue_bytes: int = 100_000
    header_bytes: int = IP_AND_UDP_BYTES[socket.AF_INET]

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, high in (('delay_s', 3600.0), ('jitter_s', 3600.0), ('loss', 1.0),
                           ('burst_s', 3600.0), ('doubled', 1.0), ('queue_bytes', 1 << 40),
                           ('header_bytes', 1 << 16)):
            if not 0 <= getattr(self, name) <= high:
                raise InvalidInputError(name, getattr(self, name), f'0..{high:g}')
        if not all(kbps > 0 for _, kbps in self.speeds):
            raise InvalidInputError('kbps', self.kbps, 'above 0')

    @property
    def speeds(self) -> tuple[tuple[float, float], ...]:
        """Speeds [1000 bit/s] with the seconds from which on they hold."""
        return self.kbps if isinstance(self.kbps, tuple) else ((0.0, self.kbps),)

    def kbps_at(self, time_ns: int) -> float:
        """Speed [1000 bit/s] at a time since the start."""
        return [kbps for at_s, kbps in self.speeds if at_s * SECOND_NS <= time_ns][-1]

    def sent_ns(self, start_ns: int, size: int) -> int:
        """When the last bit of ``size`` bytes leaves if the first does at ``start_ns``."""
        bits, at_ns = (size + self.header_bytes) * 8.0, start_ns
        ends = [round(at_s * SECOND_NS) for at_s, _ in self.speeds[1:]]
        for (_, kbps), end_ns in zip(self.speeds, ends, strict=False):
            needs_ns = bits * 1e6 / kbps
            if at_ns + needs_ns <= end_ns:
                return at_ns + round(needs_ns)
            bits -= max(0, end_ns - at_ns) * kbps / 1e6
            at_ns = max(at_ns, end_ns)
        return at_ns + round(bits * 1e6 / self.speeds[-1][1])


def line_settings(kbps: float, loss_percent: float = 0.0, delay_ms: float = 0.0,
                  burst_ms: float = 0.0) -> LineSettings:
    """
    Make a line from what users say: 1000 bit/s, percent and milliseconds.

    :raises InvalidInputError: for a value outside its range.
    """
    for name, value, low, high in (('kbps', kbps, 0.1, 1e6), ('loss', loss_percent, 0.0, 100.0),
                                   ('delay', delay_ms, 0.0, 60_000.0),
                                   ('burst', burst_ms, 0.0, 60_000.0)):
        if not low <= value <= high:
            raise InvalidInputError(name, value, f'{low:g}..{high:g}')
    return LineSettings(kbps, delay_s=delay_ms / 1e3, loss=loss_percent / 100,
                        burst_s=burst_ms / 1e3)


def add_line_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what changes the line: --loss, --delay, --burst."""
    parser.add_argument('--loss', type=float, default=0.0, metavar='PERCENT',
                        help='share of the datagrams that is lost, each way')
    parser.add_argument('--delay', type=float, default=0.0, metavar='MS',
                        help='delay each way beside the time that the bits take')
    parser.add_argument('--burst', type=float, default=0.0, metavar='MS',
                        help='mean length of the bursts in which they are lost (default: each '
                             'for itself)')
