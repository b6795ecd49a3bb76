"""What a base station measures of the datagrams that arrive: loss, bytes, queueing delay."""
from __future__ import annotations

from collections import deque

from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.session.replay import ahead, NumberWindow, WINDOW
from gsc_ros.units import SECOND_NS

MS_NS = 1_000_000
# The least delay is forgotten after one to two of these, in case clocks or routes drift.
GENERATION_NS = 10 * SECOND_NS
# Datagrams are compared with such of at least their own size: on a thin link a large one takes
# much longer than a small one without any queue.
SIZE_STEP = 64
# A loss figure for people and for parity: averaged over about so many datagrams.
LOSS_DATAGRAMS = 64
RATE_WINDOW_NS = 5 * SECOND_NS


def sent_ms(now_ns: int) -> int:
    """Time of sending as it goes over the wire: milliseconds modulo 2^16."""
    return now_ns // MS_NS % SEQUENCES


class QueueDelay:
    """One-way delay above the least seen lately; clocks of the two sides need not agree."""

    def __init__(self) -> None:
        """Nothing has been measured."""
        self._last_ns: int | None = None
        self._generation_ns = 0
        self._least: dict[int, int] = {}
        self._least_before: dict[int, int] = {}
        self.delay_ns = 0

    def add(self, size: int, sent: int, now_ns: int) -> None:
        """Note a datagram of ``size`` bytes that left at ``sent`` (``sent_ms``)."""
        delay_ns = self._unwrap((now_ns - sent * MS_NS) % (SEQUENCES * MS_NS))
        if not 0 <= now_ns - self._generation_ns < GENERATION_NS:
            self._generation_ns = now_ns
            self._least_before, self._least = self._least, {}
        step = size // SIZE_STEP
        self._least[step] = min(delay_ns, self._least.get(step, delay_ns))
        self.delay_ns = delay_ns - min(
            least for generation in (self._least, self._least_before)
            for of_size, least in generation.items() if of_size >= step)

    def _unwrap(self, delay_ns: int) -> int:
        if self._last_ns is not None:
            full = SEQUENCES * MS_NS
            delay_ns = (self._last_ns
                        + (delay_ns - self._last_ns + full // 2) % full - full // 2)
        self._last_ns = delay_ns
        return delay_ns


class Arrivals:
    """Counts of the running interval; datagram numbers tell what is missing."""

    def __init__(self) -> None:
        """Nothing has arrived."""
        self.restart()

    def restart(self) -> None:
        """Forget everything: another run of the robot counts from elsewhere."""
        self._window = NumberWindow()
        self._delay = QueueDelay()
        self.newest_ns = 0
        self.begin()

    def begin(self) -> None:
        """Begin the next interval."""
        self._expected = self.received = self.received_bytes = 0

    @property
    def newest(self) -> int | None:
        """Highest datagram number."""
        return self._window.highest

    @property
    def lost(self) -> int:
        """Datagrams missing in this interval; one that comes later is not counted again."""
        return max(0, self._expected - self.received)

    @property
    def queue_delay_ns(self) -> int:
        """Queueing delay of the last datagram."""
        return self._delay.delay_ns

    def add(self, number: int, size: int, sent: int | None, now_ns: int) -> bool:
        """Note a datagram of ``size`` wire bytes; return False if it came before."""
        before = self._window.highest
        step = 1 if before is None else ahead(number, before)
        if abs(step) >= WINDOW:  # no link loses so many in a row: the robot was restarted
            self.restart()
            step = 1
        if not self._window.add(number):
            return False
        if step > 0:
            self._expected += step
            self.newest_ns = now_ns
        self.received += 1
        self.received_bytes += size
        if sent is not None:
            self._delay.add(size, sent, now_ns)
        return True


class LossMeter:
    """Share of datagrams lost lately, 0..1."""

    def __init__(self) -> None:
        """Start at 0."""
        self.value = 0.0

    def add(self, received: int, lost: int) -> None:
        """Take the counts of an interval in."""
        total = received + lost
        if total:
            self.value += min(1.0, total / LOSS_DATAGRAMS) * (lost / total - self.value)


class RateMeter:
    """Bytes per second over the last five seconds."""

    def __init__(self) -> None:
        """Start at 0."""
        self._events: deque[tuple[int, int]] = deque(maxlen=4096)

    def add(self, size: int, now_ns: int) -> None:
        """Count ``size`` bytes."""
        self._events.append((now_ns, size))

    def rate(self, now_ns: int) -> float:
        """Return the mean rate."""
        while self._events and not 0 <= now_ns - self._events[0][0] < RATE_WINDOW_NS:
            self._events.popleft()
        return sum(size for _, size in self._events) * SECOND_NS / RATE_WINDOW_NS
