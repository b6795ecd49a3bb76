"""How much a sender has on its way: what bounds the queue that a link makes when it slows down."""
from __future__ import annotations

from collections import deque

from gsc_ros.codec.sequence import distance, SEQUENCES


class InFlight:
    """Wire bytes sent and not yet reported; datagrams are numbered modulo 2^16, in order."""

    def __init__(self) -> None:
        """Nothing is on its way."""
        self._datagrams: deque[tuple[int, int, int]] = deque()  # number, size, when it left
        self._bytes = 0

    def sent(self, number: int, size: int, now_ns: int) -> None:
        """Note a datagram of ``size`` wire bytes."""
        self._datagrams.append((number, size, now_ns))
        self._bytes += size

    def reported(self, number: int) -> None:
        """All up to ``number`` have arrived or are lost."""
        while self._datagrams and distance(number, self._datagrams[0][0]) < SEQUENCES // 2:
            self._bytes -= self._datagrams.popleft()[1]

    def bytes(self, now_ns: int, patience_ns: int) -> int:
        """Bytes on their way; what left more than ``patience_ns`` ago is given up."""
        while self._datagrams and not 0 <= now_ns - self._datagrams[0][2] < patience_ns:
            self._bytes -= self._datagrams.popleft()[1]
        return self._bytes
