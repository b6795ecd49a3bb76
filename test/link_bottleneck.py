"""A robot's sender, a bottleneck and a base station's reports in virtual time, for the tests."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
import random

from gsc_ros.budget.window import WindowCeiling
from gsc_ros.link.rate.congestion import RateController, Report
from gsc_ros.link.rate.inflight import InFlight
from gsc_ros.link.rate.pacing import Pacer

MS = 1_000_000
TICK_NS = 5 * MS
LEAST_NS = 30_000 * MS  # the base station remembers the least delay for so long
SMALL, LARGE = 120, 280  # wire bytes of a datagram


@dataclass
class Losses:
    """Random loss of a share of all; ``burst_s``: for so long on average, 0: each for itself."""

    share: float
    burst_s: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Start in the good state."""
        self._random = random.Random(self.seed)
        self._bad = False

    def tick(self) -> None:
        """Let a tick pass: bursts are a Markov chain of two states."""
        if self.burst_s and self.share:
            end = TICK_NS / 1e9 / self.burst_s
            begin = end * self.share / (1 - self.share)
            self._bad = self._random.random() < (1 - end if self._bad else begin)

    def lost(self) -> bool:
        """Whether what passes now is lost."""
        return self._bad if self.burst_s else self._random.random() < self.share


@dataclass
class Link:
    """Bytes per second over time, one-way delay, losses each way, room before the bottleneck."""

    speed: Callable[[float], float]
    delay_ns: int
    losses: Losses = field(default_factory=lambda: Losses(0))
    report_losses: Losses = field(default_factory=lambda: Losses(0))
    room_bytes: int = 1 << 30


@dataclass
class Trace:
    """One entry a tick: seconds, link speed, rate, bytes sent, bytes arrived, queue [s]."""

    time_s: list[float] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)

    def between(self, start_s: float, end_s: float) -> slice:
        """Entries from ``start_s`` to ``end_s``."""
        tick_s = TICK_NS / 1e9
        return slice(round(start_s / tick_s), round(end_s / tick_s))

    def utilisation(self, start_s: float, end_s: float) -> float:
        """Bytes sent by what the link could carry."""
        span = self.between(start_s, end_s)
        return sum(self.sent[span]) / (sum(self.speed[span]) * TICK_NS / 1e9)


@dataclass
class _Datagram:
    number: int
    size: int
    left_ns: int
    arrives_ns: int = 0


class _Base:
    """Counts what arrives; a report every ``period_ns``."""

    def __init__(self, period_ns: int) -> None:
        self.period_ns = period_ns
        self._delays: deque[tuple[int, int]] = deque()
        self._last: _Datagram | None = None
        self._next_number = self._received = self._lost = self._bytes = 0
        self._reported_ns = 0

    def receive(self, datagram: _Datagram) -> None:
        self._received += 1
        self._bytes += datagram.size
        self._lost += datagram.number - self._next_number
        self._next_number = datagram.number + 1
        self._last = datagram
        now_ns = datagram.arrives_ns
        # Monotonic queue: the front is the least delay of the last LEAST_NS.
        delay_ns = now_ns - datagram.left_ns
        while self._delays and self._delays[-1][1] >= delay_ns:
            self._delays.pop()
        self._delays.append((now_ns, delay_ns))
        while now_ns - self._delays[0][0] > LEAST_NS:
            self._delays.popleft()

    def report(self, now_ns: int) -> tuple[Report, int, _Datagram | None] | None:
        """Report, the highest number seen, and the last datagram, None before it is time."""
        if now_ns - self._reported_ns < self.period_ns:
            return None
        last = self._last
        queue_ns = last.arrives_ns - last.left_ns - self._delays[0][1] if last else 0
        report = Report(now_ns - self._reported_ns, self._received, self._lost, self._bytes,
                        queue_ns)
        self._reported_ns = now_ns
        self._received = self._lost = self._bytes = 0
        return report, self._next_number - 1, last


@dataclass
class Scenario:
    """Who sends what over which link."""

    link: Link
    floor: int
    ceiling: int
    report_ns: int = 250 * MS
    wants: Callable[[float], float] = lambda _: float('inf')  # bytes per second of the cameras
    windowed: bool = True  # bytes in flight are bounded
    jitter_ns: int = 0  # reports come late by up to this
    seed: int = 1  # of datagram sizes and report delays


def simulate(scenario: Scenario, seconds: float) -> Trace:
    """Run the scenario from an empty link."""
    return _Run(scenario).run(seconds)


class _Run:

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.trace = scenario, Trace()
        self.controller = RateController(scenario.floor, scenario.ceiling)
        self.pacer, self.ceiling = Pacer(scenario.floor), WindowCeiling(scenario.ceiling)
        self.flight, self.base = InFlight(), _Base(scenario.report_ns)
        self.queue: deque[_Datagram] = deque()
        self.flying: deque[_Datagram] = deque()
        self.reports: deque[tuple[int, int, int, Report, _Datagram | None]] = deque()
        self.number, self.credit, self.backlog = 0, 0.0, 0.0
        self.size = LARGE
        self.random = random.Random(scenario.seed)

    def run(self, seconds: float) -> Trace:
        for now_ns in range(0, int(seconds * 1e9), TICK_NS):
            now_s = now_ns / 1e9
            self.scenario.link.losses.tick()
            self.scenario.link.report_losses.tick()
            arrived = self._arrive(now_ns)
            self._report(now_ns)
            self.controller.on_silence(now_ns)
            self.pacer.change(self.controller.rate)
            sent = self._send(now_ns, now_s)
            speed = self.scenario.link.speed(now_s)
            self._serve(now_ns, speed)
            self._note(now_s, speed, sent, arrived)
        return self.trace

    def _note(self, now_s: float, speed: float, sent: int, arrived: int) -> None:
        trace = self.trace
        trace.time_s.append(now_s)
        trace.speed.append(speed)
        trace.rate.append(self.controller.rate)
        trace.sent.append(sent)
        trace.arrived.append(arrived)
        waiting = sum(item.size for item in self.queue) - self.credit
        trace.queue_s.append(max(0.0, waiting) / speed)

    def _arrive(self, now_ns: int) -> int:
        total = 0
        while self.flying and self.flying[0].arrives_ns <= now_ns:
            datagram = self.flying.popleft()
            total += datagram.size
            self.base.receive(datagram)
        return total

    def _report(self, now_ns: int) -> None:
        link = self.scenario.link
        made = self.base.report(now_ns)
        if made and not link.report_losses.lost():
            report, number, last = made
            late_ns = self.random.randint(0, self.scenario.jitter_ns)
            self.reports.append((now_ns + link.delay_ns + late_ns, now_ns, number, report, last))
        while self.reports and self.reports[0][0] <= now_ns:
            _, made_ns, number, report, last = self.reports.popleft()
            trip_ns = None
            if last and report.received:
                trip_ns = now_ns - last.left_ns - (made_ns - last.arrives_ns)
            self.controller.on_report(Report(
                report.interval_ns, report.received, report.lost, report.received_bytes,
                report.queue_delay_ns, trip_ns), now_ns)
            self.flight.reported(number % (1 << 16))

    def _send(self, now_ns: int, now_s: float) -> int:
        self.backlog += min(self.scenario.wants(now_s) * TICK_NS / 1e9, 1e6)
        self.backlog = min(self.backlog, 2000.0)  # newest wins: cameras queue nothing
        total = 0
        while self.backlog >= self.size and self._may_send(now_ns):
            self.flight.sent(self.number % (1 << 16), self.size, now_ns)
            self.pacer.sent(self.size, now_ns)
            self.ceiling.sent(self.size, now_ns)
            waiting = sum(item.size for item in self.queue)
            if waiting + self.size <= self.scenario.link.room_bytes:
                self.queue.append(_Datagram(self.number, self.size, now_ns))
            self.backlog -= self.size
            total += self.size
            self.number += 1
            self.size = self.random.randint(SMALL, LARGE)
        return total

    def _may_send(self, now_ns: int) -> bool:
        if self.pacer.wait_ns(now_ns) or self.ceiling.wait_ns(self.size, now_ns):
            return False
        flying = self.flight.bytes(now_ns, self.controller.patience_ns)
        return (not self.scenario.windowed or not flying
                or flying + self.size <= self.controller.window(now_ns))

    def _serve(self, now_ns: int, speed: float) -> None:
        self.credit = self.credit + speed * TICK_NS / 1e9 if self.queue else 0.0
        while self.queue and self.credit >= self.queue[0].size:
            datagram = self.queue.popleft()
            self.credit -= datagram.size
            if not self.scenario.link.losses.lost():
                datagram.arrives_ns = now_ns + self.scenario.link.delay_ns
                self.flying.append(datagram)


def adaptation_s(trace: Trace, change_s: float, until_s: float) -> float:
    """
    Seconds from a change of the link until the rate fits it.

    That is at most 110 % of a link that got slower, at least 75 % of one that got faster;
    ``until_s - change_s`` if it never does.
    """
    span = trace.between(change_s, until_s)
    speed = trace.speed[span][-1]
    slower = speed < trace.speed[span.start - 1]
    fits = [rate <= 1.1 * speed if slower else rate >= 0.75 * speed for rate in trace.rate[span]]
    return fits.index(True) * TICK_NS / 1e9 if True in fits else until_s - change_s
