"""A robot's sender, a bottleneck and a base station's reports in virtual time, for the tests."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
import math
import random

from gsc_ros.budget.ceiling import WindowCeiling
from gsc_ros.link.emulator import Line
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.rate.congestion import RateController, Report
from gsc_ros.link.rate.inflight import InFlight
from gsc_ros.link.rate.pacing import Pacer

MS = 1_000_000
TICK_NS = 5 * MS
LEAST_NS = 30_000 * MS  # the base station remembers the least delay for so long
SMALL, LARGE = 120, 280  # wire bytes of a datagram
BYTES_PER_KBIT = 125


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
    arrived_ns: int = 0


_Reported = tuple[int, Report, int, _Datagram | None]


class _Base:
    """Counts what arrives; a report every ``period_ns``."""

    def __init__(self, period_ns: int) -> None:
        self.period_ns = period_ns
        self._delays: deque[tuple[int, int]] = deque()
        self._last: _Datagram | None = None
        self._next_number = self._received = self._lost = self._bytes = 0
        self._reported_ns = 0

    def receive(self, datagram: _Datagram, now_ns: int) -> None:
        self._received += 1
        self._bytes += datagram.size
        self._lost += datagram.number - self._next_number
        self._next_number = datagram.number + 1
        self._last = datagram
        datagram.arrived_ns = now_ns
        # Monotonic queue: the front is the least delay of the last LEAST_NS.
        delay_ns = now_ns - datagram.left_ns
        while self._delays and self._delays[-1][1] >= delay_ns:
            self._delays.pop()
        self._delays.append((now_ns, delay_ns))
        while now_ns - self._delays[0][0] > LEAST_NS:
            self._delays.popleft()

    def report(self, now_ns: int) -> _Reported | None:
        """When, report, the highest number and the last datagram seen; None before it is time."""
        if now_ns - self._reported_ns < self.period_ns:
            return None
        last = self._last
        queue_ns = last.arrived_ns - last.left_ns - self._delays[0][1] if last else 0
        report = Report(now_ns - self._reported_ns, self._received, self._lost, self._bytes,
                        queue_ns)
        self._reported_ns = now_ns
        self._received = self._lost = self._bytes = 0
        return now_ns, report, self._next_number - 1, last


@dataclass
class Scenario:
    """Who sends what over which line; reports come back with its delay and losses."""

    line: LineSettings
    floor: int
    ceiling: int
    report_ns: int = 250 * MS
    wants: Callable[[float], float] = lambda _: float('inf')  # bytes per second of the cameras
    windowed: bool = True  # bytes in flight are bounded
    jitter_s: float = 0.0  # reports come late by up to this
    seed: int = 1


def simulate(scenario: Scenario, seconds: float) -> Trace:
    """Run the scenario from an empty link."""
    return _Run(scenario).run(seconds)


class _Run:

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.trace = scenario, Trace()
        self.controller = RateController(scenario.floor, scenario.ceiling)
        self.pacer, self.ceiling = Pacer(scenario.floor), WindowCeiling(scenario.ceiling)
        self.flight, self.base = InFlight(), _Base(scenario.report_ns)
        line, seed = scenario.line, scenario.seed
        self.up = Line[_Datagram](replace(line, header_bytes=0), seed, 0)
        self.down = Line[_Reported](
            replace(line, kbps=math.inf, jitter_s=scenario.jitter_s), seed + 50, 0)
        self.number, self.backlog = 0, 0.0
        self.size = LARGE
        self.random = random.Random(scenario.seed)

    def run(self, seconds: float) -> Trace:
        for now_ns in range(0, int(seconds * 1e9), TICK_NS):
            now_s = now_ns / 1e9
            arrived = self._arrive(now_ns)
            self._report(now_ns)
            self.controller.on_silence(now_ns)
            self.pacer.change(self.controller.rate)
            sent = self._send(now_ns, now_s)
            self._note(now_ns, sent, arrived)
        return self.trace

    def _note(self, now_ns: int, sent: int, arrived: int) -> None:
        trace = self.trace
        trace.time_s.append(now_ns / 1e9)
        trace.speed.append(self.scenario.line.kbps_at(now_ns) * BYTES_PER_KBIT)
        trace.rate.append(self.controller.rate)
        trace.sent.append(sent)
        trace.arrived.append(arrived)
        trace.queue_s.append(self.up.queue_ns(now_ns) / 1e9)

    def _arrive(self, now_ns: int) -> int:
        datagrams = self.up.arrived(now_ns)
        for datagram in datagrams:
            self.base.receive(datagram, now_ns)
        return sum(datagram.size for datagram in datagrams)

    def _report(self, now_ns: int) -> None:
        made = self.base.report(now_ns)
        if made:
            self.down.offer(made, 0, now_ns)
        for made_ns, report, number, last in self.down.arrived(now_ns):
            trip_ns = None
            if last and report.received:
                trip_ns = now_ns - last.left_ns - (made_ns - last.arrived_ns)
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
            self.up.offer(_Datagram(self.number, self.size, now_ns), self.size, now_ns)
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
