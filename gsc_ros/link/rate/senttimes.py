"""When the datagrams of the last seconds left, in bounded memory."""
from __future__ import annotations

from collections import deque

from gsc_ros.codec.sequence import distance
from gsc_ros.units import SECOND_NS

KEPT_NS = 20 * SECOND_NS
STEP_NS = SECOND_NS // 10


class SentTimes:
    """Samples, at most one each STEP_NS, of numbers (modulo 2^16) and when they left."""

    def __init__(self) -> None:
        """Nothing has left."""
        self._samples: deque[tuple[int, int]] = deque()  # number, when; oldest first
        self._latest = 0

    def sent(self, number: int, now_ns: int) -> None:
        """Note a datagram that leaves; numbers are counted up one by one."""
        self._latest = number
        if self._samples and 0 <= now_ns - self._samples[-1][1] < STEP_NS:
            return
        self._samples.append((number, now_ns))
        while not 0 <= now_ns - self._samples[0][1] < KEPT_NS:
            self._samples.popleft()

    def age_ns(self, number: int, now_ns: int) -> int | None:
        """
        Return how long ago a datagram left, up to STEP_NS more than it was.

        None for one that was never sent, or before what is kept.
        """
        back = distance(self._latest, number)
        for sampled, sent_ns in reversed(self._samples):
            if distance(self._latest, sampled) >= back:
                return now_ns - sent_ns
        return None
