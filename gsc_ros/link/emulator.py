"""One direction of an emulated thin link: what each datagram's bytes take, and what is lost."""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
import heapq
import itertools
import random
from typing import Generic, TypeVar

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.units import SECOND_NS

Item = TypeVar('Item')

# A time earlier than one seen before by more than this is a clock that jumped (a bag in a loop).
JUMP_NS = SECOND_NS


class Losses:
    """
    Says of datagrams, in order of their times, whether they are lost.

    Each for itself, or in bursts: a channel that is good and bad in turn (E. N. Gilbert, Capacity
    of a Burst-Noise Channel, 1960), in whose bad state all is lost. Its states last exponentially
    distributed times, because fading lasts for a time and not for a number of datagrams.
    """

    def __init__(self, seed: int) -> None:
        """Start in the good state; bursts are the same in every run, whatever is sent when."""
        self._random = random.Random(seed)
        self._bad, self._until_ns = True, 0   # the good state begins with the first datagram

    def loses(self, settings: LineSettings, time_ns: int) -> bool:
        """Whether a datagram whose last bit leaves at ``time_ns`` since the start is lost."""
        share = settings.loss
        if not settings.burst_s or share in (0.0, 1.0):
            return self._random.random() < share
        while self._until_ns <= time_ns:
            self._bad = not self._bad
            mean_s = settings.burst_s * (1.0 if self._bad else 1 / share - 1)
            self._until_ns += round(self._random.expovariate(1 / mean_s) * SECOND_NS)
        return self._bad


@dataclass(frozen=True)
class Passage:
    """
    What became of one datagram: 'arrived', 'lost' on the line, or 'dropped' from the queue.

    Times are since the line's start; ``size`` counts headers; ``queue_ns`` is how long it waited.
    """

    at_ns: int
    size: int
    queue_ns: int
    fate: str


@dataclass(frozen=True)
class _Waiting(Generic[Item]):
    item: Item
    size: int
    at_ns: int
    precious: bool


@dataclass(order=True)
class _Flying(Generic[Item]):
    arrives_ns: int
    number: int
    item: Item = field(compare=False)


class Line(Generic[Item]):
    """
    Takes datagrams with ``offer``, gives those that have arrived from ``arrived``.

    Times are of any clock in nanoseconds. If it jumps back the line goes on as if it had not.
    ``counts`` holds what was dropped from the queue, lost, and sent (with ``sent_bytes``, headers
    included); ``settings`` may be exchanged, what is on the line keeps its time.
    """

    def __init__(self, settings: LineSettings, seed: int, start_ns: int,
                 log: list[Passage] | None = None) -> None:
        """Make an idle line; a ``log`` takes a note of every datagram."""
        self.settings = settings
        self.counts: Counter[str] = Counter(dropped=0, lost=0, sent=0, sent_bytes=0)
        self._log = log
        # Its own chance for losses: bursts then do not depend on the jitter drawn.
        self._losses, self._random = Losses(seed), random.Random(seed + 1)
        self._start_ns, self._seen_ns = start_ns, start_ns
        self._waiting: deque[_Waiting[Item]] = deque()
        self._sending: tuple[int, _Waiting[Item]] | None = None   # and when its last bit leaves
        self._free_ns = self._start_of_sending_ns = 0
        self._flying: list[_Flying[Item]] = []
        self._last_arrival_ns = 0
        self._numbers = itertools.count()

    def offer(self, item: Item, size: int, now_ns: int, *, precious: bool = False) -> None:
        """
        Hand over a datagram of ``size`` bytes without its headers.

        :param precious: neither dropped nor lost, but it costs its bytes.
        :raises InvalidInputError: for a size below 0.
        """
        if size < 0:
            raise InvalidInputError('size', size, '0 or more')
        at_ns = self._time(now_ns)
        self._advance(at_ns)
        self._waiting.append(_Waiting(item, size, at_ns, precious))
        if self._sending is None:
            self._send_next()
        self._shorten(at_ns)

    def arrived(self, now_ns: int) -> list[Item]:
        """Datagrams whose last bit has arrived by now, in order of arrival."""
        at_ns = self._time(now_ns)
        self._advance(at_ns)
        items = []
        while self._flying and self._flying[0].arrives_ns <= at_ns:
            items.append(heapq.heappop(self._flying).item)
        return items

    def next_ns(self) -> int | None:
        """When to ask again; None while nothing is under way."""
        times = [self._flying[0].arrives_ns] if self._flying else []
        times += [self._sending[0]] if self._sending else []
        return self._start_ns + min(times) if times else None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait, without headers."""
        return sum(waiting.size for waiting in self._waiting)

    def queue_ns(self, now_ns: int) -> int:
        """How long a datagram that is offered now would wait."""
        at_ns = self._time(now_ns)
        self._advance(at_ns)
        free_ns = self._sending[0] if self._sending else at_ns
        for waiting in self._waiting:
            free_ns = self.settings.sent_ns(free_ns, waiting.size)
        return free_ns - at_ns

    def _time(self, now_ns: int) -> int:
        """Time since the start, without the jumps of the caller's clock."""
        if now_ns < self._seen_ns - JUMP_NS:
            self._start_ns -= self._seen_ns - now_ns
            self._seen_ns = now_ns
        self._seen_ns = max(self._seen_ns, now_ns)
        return now_ns - self._start_ns

    def _shorten(self, at_ns: int) -> None:
        excess = self.queued_bytes - self.settings.queue_bytes
        kept: deque[_Waiting[Item]] = deque()
        for waiting in self._waiting:
            if excess > 0 and not waiting.precious:
                excess -= waiting.size
                self.counts['dropped'] += 1
                self._note(waiting, at_ns - waiting.at_ns, 'dropped')
            else:
                kept.append(waiting)
        self._waiting = kept

    def _advance(self, now_ns: int) -> None:
        while self._sending is not None and self._sending[0] <= now_ns:
            self._free_ns, waiting = self._sending
            self._leave(waiting)
            self._send_next()

    def _send_next(self) -> None:
        self._sending = None
        if self._waiting:
            waiting = self._waiting.popleft()
            # From its own time on, which may be a little before the caller has handed it over.
            self._start_of_sending_ns = max(self._free_ns, waiting.at_ns)
            self._sending = (self.settings.sent_ns(self._start_of_sending_ns, waiting.size),
                             waiting)

    def _leave(self, waiting: _Waiting[Item]) -> None:
        """Lose a datagram whose last bit has left, or let it fly."""
        self.counts['sent'] += 1
        self.counts['sent_bytes'] += waiting.size + self.settings.header_bytes
        lost = not waiting.precious and self._losses.loses(self.settings, self._free_ns)
        queue_ns = self._start_of_sending_ns - waiting.at_ns
        self._note(waiting, queue_ns, 'lost' if lost else 'arrived')
        if lost:
            self.counts['lost'] += 1
            return
        copies = 2 if self._random.random() < self.settings.doubled else 1
        for _ in range(copies):
            flight_s = self.settings.delay_s + self.settings.jitter_s * self._random.random()
            arrives_ns = self._free_ns + round(flight_s * SECOND_NS)
            if self.settings.in_order:
                arrives_ns = max(arrives_ns, self._last_arrival_ns)
                self._last_arrival_ns = arrives_ns
            heapq.heappush(self._flying, _Flying(arrives_ns, next(self._numbers), waiting.item))

    def _note(self, waiting: _Waiting[Item], queue_ns: int, fate: str) -> None:
        if self._log is not None:
            size = waiting.size + self.settings.header_bytes
            self._log.append(Passage(waiting.at_ns, size, queue_ns, fate))


def busiest_second(log: Iterable[Passage]) -> int:
    """Most bytes offered in any window of one second, headers included."""
    most = total = 0
    window: deque[Passage] = deque()
    for passage in sorted(log, key=lambda passage: passage.at_ns):
        window.append(passage)
        total += passage.size
        while passage.at_ns - window[0].at_ns >= SECOND_NS:
            total -= window.popleft().size
        most = max(most, total)
    return most
