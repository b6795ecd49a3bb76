"""
Even spacing of datagrams at an adaptive rate.

Bytes are those on the wire: payload, link header and the transport's own headers. Time is an
argument (``now_ns``, any clock in nanoseconds that should not, but may, jump back).
"""
from __future__ import annotations

import math

from gsc_ros.budget.ceiling import positive
from gsc_ros.units import SECOND_NS

# A pacer that was asked late makes up for at most this much time.
CATCH_UP_NS = 50_000_000


class Pacer:
    """
    Spaces datagrams as a link of ``bytes_per_second`` would, so that they do not queue in it.

    For the rate of a congestion controller: a whole second's bytes sent at once would make the
    very queue that the controller has to read. Datagrams may be of any size.
    """

    def __init__(self, bytes_per_second: int) -> None:
        """Set the rate; InvalidInputError unless it is above 0."""
        self._rate = positive(bytes_per_second)
        self._debt = 0.0  # bytes that a link of this rate would still be busy with
        self._seen_ns: int | None = None

    def change(self, bytes_per_second: int) -> None:
        """Take another rate from now on."""
        self._rate = positive(bytes_per_second)

    def wait_ns(self, now_ns: int) -> int:
        """Nanoseconds until the next datagram may leave, 0 for now."""
        self._drain(now_ns)
        return max(0, math.ceil(self._debt / self._rate * SECOND_NS))

    def sent(self, size: int, now_ns: int) -> None:
        """Count a datagram of ``size`` wire bytes that leaves now."""
        self._drain(now_ns)
        self._debt += size

    def _drain(self, now_ns: int) -> None:
        elapsed_ns = 0 if self._seen_ns is None else max(0, now_ns - self._seen_ns)
        self._seen_ns = now_ns
        credit = self._rate * CATCH_UP_NS / SECOND_NS
        self._debt = max(self._debt - self._rate * elapsed_ns / SECOND_NS, -credit)
