"""Which datagram numbers have been seen (the window of RFC 4303, section 3.4.3)."""
from __future__ import annotations

WINDOW = 1024


def ahead(number: int, than: int, bits: int = 16) -> int:
    """How far ``number`` is ahead of ``than``, both modulo 2^bits; negative: behind."""
    half = 1 << (bits - 1)
    return (number - than + half) % (1 << bits) - half


class NumberWindow:
    """Remembers the last 1024 numbers, modulo 2^16, up to the highest."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self.highest: int | None = None
        self._seen = 0  # bit i: highest - i

    def add(self, number: int) -> bool:
        """Return False for a number that was seen, or is too old to know."""
        step = 0 if self.highest is None else ahead(number, self.highest)
        if self.highest is None or step > 0:
            self._seen = (self._seen << step | 1) & ((1 << WINDOW) - 1)
            self.highest = number
            return True
        if -step >= WINDOW or self._seen >> -step & 1:
            return False
        self._seen |= 1 << -step
        return True
