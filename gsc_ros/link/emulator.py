"""An emulated thin link: one packet at a time, no faster than its bytes allow. No ROS."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import random
from typing import Generic, TypeVar

from gsc_ros.codec.errors import InvalidInputError

Item = TypeVar('Item')


@dataclass(frozen=True)
class LinkSettings:
    """Speed [1000 bit/s], bytes added to each packet, delay, loss 0..1, bytes that may wait."""

    kbps: float
    overhead_bytes: int
    delay_ns: int
    loss: float
    queue_bytes: int

    def serialise_ns(self, size: int) -> int:
        """How long a packet of ``size`` payload bytes occupies the link."""
        # bits / (kbps * 1000 bit/s) in nanoseconds
        return round((size + self.overhead_bytes) * 8 * 1e6 / self.kbps)


@dataclass(frozen=True)
class Waiting(Generic[Item]):
    """A packet before or on the link."""

    item: Item
    size: int
    precious: bool  # neither dropped nor lost, but it costs its bytes


class LinkModel(Generic[Item]):
    """
    Takes packets with ``offer``, gives those that have arrived from ``arrived``.

    Time is an argument in nanoseconds and must not run backwards. The newest packets win: what
    does not fit into ``queue_bytes`` gives way, the oldest first.
    """

    def __init__(self, settings: LinkSettings, seed: int) -> None:
        """Make an idle link; ``seed`` draws the losses."""
        self.settings = settings
        self.dropped = self.lost = self.sent = self.sent_bytes = 0
        self._random = random.Random(seed)
        self._queue: deque[Waiting[Item]] = deque()
        self._sending: tuple[int, Waiting[Item]] | None = None  # when its last bit has left
        self._flying: deque[tuple[int, Item]] = deque()

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that wait."""
        return sum(waiting.size for waiting in self._queue)

    def offer(self, item: Item, size: int, now_ns: int, *, precious: bool = False) -> None:
        """Hand a packet of ``size`` payload bytes to the link (InvalidInputError below 0)."""
        if size < 0:
            raise InvalidInputError('size', size, '0 or more')
        self._advance(now_ns)
        self._queue.append(Waiting(item, size, precious))
        if self._sending is None:
            self._send_next(now_ns)
        self._shorten()

    def arrived(self, now_ns: int) -> list[Item]:
        """Packets whose last bit has arrived by now, in order."""
        self._advance(now_ns)
        items = []
        while self._flying and self._flying[0][0] <= now_ns:
            items.append(self._flying.popleft()[1])
        return items

    def next_ns(self) -> int | None:
        """When to ask again, None while nothing is under way."""
        times = [self._flying[0][0]] if self._flying else []
        if self._sending is not None:
            times.append(self._sending[0])
        return min(times, default=None)

    def _shorten(self) -> None:
        excess = self.queued_bytes - self.settings.queue_bytes
        kept: deque[Waiting[Item]] = deque()
        for waiting in self._queue:
            if excess > 0 and not waiting.precious:
                excess -= waiting.size
                self.dropped += 1
            else:
                kept.append(waiting)
        self._queue = kept

    def _send_next(self, start_ns: int) -> None:
        self._sending = None
        if self._queue:
            waiting = self._queue.popleft()
            self._sending = (start_ns + self.settings.serialise_ns(waiting.size), waiting)

    def _advance(self, now_ns: int) -> None:
        while self._sending is not None and self._sending[0] <= now_ns:
            left_ns, waiting = self._sending
            self.sent += 1
            self.sent_bytes += waiting.size + self.settings.overhead_bytes
            if not waiting.precious and self._random.random() < self.settings.loss:
                self.lost += 1
            else:
                # A shorter delay set meanwhile must not let packets overtake.
                earliest = self._flying[-1][0] if self._flying else 0
                self._flying.append((max(earliest, left_ns + self.settings.delay_ns),
                                     waiting.item))
            self._send_next(left_ns)
