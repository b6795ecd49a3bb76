"""
A hard ceiling over any second.

Bytes are those on the wire: payload, link header and the transport's own headers. Time is an
argument (``now_ns``, any clock in nanoseconds that should not, but may, jump back).
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.units import SECOND_NS

# now_ns is read before a datagram really leaves, and not always equally long before.
GUARD_NS = 10_000_000
WINDOW_NS = SECOND_NS + GUARD_NS
# Datagrams of one slot are counted together, as if all had left with the last of them.
SLOT_NS = SECOND_NS // 64


@dataclass
class _Slot:
    first_ns: int
    last_ns: int
    size: int


class WindowCeiling:
    """
    Keeps all bytes in any window of one second at or below ``bytes_per_second``.

    It holds at most about 66 slots whatever the rate. A clock that jumps back counts as standing
    still: for at most a second, then time goes on from where it stopped.
    """

    def __init__(self, bytes_per_second: int) -> None:
        """Set the ceiling; InvalidInputError unless it is above 0."""
        self._slots: deque[_Slot] = deque()
        self._used = 0
        self._last_ns: int | None = None
        self._shift_ns = 0
        self._ceiling = positive(bytes_per_second)

    @property
    def bytes_per_second(self) -> int:
        """The ceiling, which is also the largest datagram that can ever leave."""
        return self._ceiling

    def change(self, bytes_per_second: int) -> None:
        """Take another ceiling from now on; what was sent before still counts."""
        self._ceiling = positive(bytes_per_second)

    def room(self, now_ns: int) -> int:
        """Wire bytes that may leave now, below 0 where the ceiling was higher before."""
        self._forget(self._time(now_ns))
        return self._ceiling - self._used

    def wait_ns(self, size: int, now_ns: int) -> int:
        """
        Nanoseconds until a datagram of ``size`` wire bytes may leave, 0 for now.

        InvalidInputError for a datagram above the ceiling: it has to be cut smaller, because no
        wait would ever be long enough.
        """
        if not 0 <= size <= self._ceiling:
            raise InvalidInputError('datagram', size, f'0..{self._ceiling} (ceiling of a second)')
        time_ns = self._time(now_ns)
        self._forget(time_ns)
        excess = self._used + size - self._ceiling
        for slot in self._slots:
            if excess <= 0:
                break
            excess -= slot.size
            if excess <= 0:
                return slot.last_ns + WINDOW_NS - time_ns
        return 0

    def sent(self, size: int, now_ns: int) -> None:
        """Count a datagram of ``size`` wire bytes that leaves now."""
        time_ns = self._time(now_ns)
        self._forget(time_ns)
        self._used += size
        if self._slots and time_ns - self._slots[-1].first_ns < SLOT_NS:
            self._slots[-1].last_ns = time_ns
            self._slots[-1].size += size
        else:
            self._slots.append(_Slot(time_ns, time_ns, size))

    def _time(self, now_ns: int) -> int:
        time_ns = now_ns + self._shift_ns
        if self._last_ns is not None and time_ns < self._last_ns:
            # A small step back may be jitter between callers: were it shifted away each time,
            # the clock here would run ahead of the real one and the ceiling would not hold.
            if self._last_ns - time_ns >= SECOND_NS:
                self._shift_ns += self._last_ns - time_ns
            time_ns = self._last_ns
        self._last_ns = time_ns
        return time_ns

    def _forget(self, time_ns: int) -> None:
        while self._slots and time_ns - self._slots[0].last_ns >= WINDOW_NS:
            self._used -= self._slots.popleft().size


def positive(bytes_per_second: int) -> int:
    """Return a rate; InvalidInputError unless it is above 0."""
    if bytes_per_second <= 0:
        raise InvalidInputError('bytes_per_second', bytes_per_second, 'above 0')
    return bytes_per_second
