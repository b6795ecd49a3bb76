"""The links that the thin link has to live with, and what is measured on them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import itertools
import statistics

from gsc_ros.link.emulator import busiest_second, Passage
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.units import SECOND_NS


@dataclass(frozen=True)
class Scene:
    """
    A link, both directions alike, and what must hold on it.

    ``ceiling`` is what the robot may send [wire bytes per second]; limits of None are not asked
    for. ``slow`` is the span, in seconds from the start, in which the link is slower than
    ``ceiling``; then ``adapt_s`` says how soon the robot has to send no more than arrives.
    """

    name: str
    line: LineSettings
    ceiling: int
    median_age_s: float | None = None
    rate_hz: float | None = None
    stall_s: float | None = None
    queue_s: float | None = None
    slow: tuple[float, float] | None = None
    adapt_s: float = 3.0


def scenes(step_s: float = 30.0) -> list[Scene]:
    """List the scenes; ``step_s`` is how long each speed of the changing link lasts."""
    changing = tuple((step * step_s, 4.0 if step % 2 else 16.0) for step in range(20))
    return [
        Scene('2.4 kbit/s, 600 ms, 2 % loss',
              LineSettings(2.4, 0.6, loss=0.02), 300, median_age_s=4.0),
        Scene('16 kbit/s, 200 ms, 5 % loss',
              LineSettings(16.0, 0.2, loss=0.05), 2000, median_age_s=1.0, rate_hz=1.0),
        Scene('64 kbit/s, 50 ms, 20 % in bursts of 0.25 s',
              LineSettings(64.0, 0.05, loss=0.2, burst_s=0.25), 8000, stall_s=2.0),
        Scene(f'16 kbit/s, 4 and back every {step_s:g} s, 100 ms',
              LineSettings(changing, 0.1), 2000, queue_s=2.0, slow=(step_s, 2 * step_s)),
    ]


@dataclass(frozen=True)
class Arrival:
    """A picture at the base station: times of ``time.time_ns``, bytes of the packet."""

    stream: str
    stamp_ns: int
    arrived_ns: int
    size: int


@dataclass(frozen=True)
class Outcome:
    """What a run over a link came to; ages and stalls in seconds, bytes on the wire."""

    pictures: int
    rate_hz: float
    median_age_s: float
    worst_age_s: float
    stall_s: float
    busiest_second: int
    queue_s: float
    adapted_s: float | None


def outcome(scene: Scene, arrivals: Sequence[Arrival], up: Sequence[Passage], start_ns: int,
            end_ns: int) -> Outcome:
    """Measure a run between two times; what came before belongs to starting up."""
    seen = sorted((a for a in arrivals if start_ns <= a.arrived_ns <= end_ns),
                  key=lambda a: a.arrived_ns)
    ages = [(a.arrived_ns - a.stamp_ns) / SECOND_NS for a in seen] or [float('inf')]
    times = [start_ns, *(a.arrived_ns for a in seen), end_ns]
    return Outcome(
        len(seen), len(seen) / ((end_ns - start_ns) / SECOND_NS),
        statistics.median(ages), max(ages),
        max(b - a for a, b in itertools.pairwise(times)) / SECOND_NS,
        busiest_second(up), max((p.queue_ns for p in up), default=0) / SECOND_NS,
        _adapted_s(scene, up))


def _adapted_s(scene: Scene, up: Sequence[Passage]) -> float | None:
    """Seconds from the drop until the queue grew no more, by more than a datagram's time."""
    if scene.slow is None:
        return None
    start_ns, end_ns = (round(at_s * SECOND_NS) for at_s in scene.slow)
    slow = [p for p in up if start_ns <= p.at_ns < end_ns]
    fullest_ns = max((p.queue_ns for p in slow), default=0)
    largest = max((p.size for p in slow), default=0)
    kbps = scene.line.kbps_at(start_ns)
    enough_ns = fullest_ns - largest * 8e6 / kbps
    return next((max(0, p.at_ns - start_ns) / SECOND_NS for p in slow if p.queue_ns >= enough_ns),
                0.0)


def faults(scene: Scene, result: Outcome, slack: float = 1.0) -> list[str]:
    """
    Name what does not hold; empty if all does.

    ``slack`` widens what a busy machine stretches: times and rates, but not the ceiling.
    """
    found = []
    for name, value, limit, factor in (
            ('median age', result.median_age_s, scene.median_age_s, slack),
            ('stall', result.stall_s, scene.stall_s, slack),
            ('queue', result.queue_s, scene.queue_s, slack),
            ('bytes in a second', result.busiest_second, scene.ceiling, 1.0),
            ('time to adapt', result.adapted_s, scene.adapt_s, slack)):
        if value is not None and limit is not None and value > limit * factor:
            found.append(f'{name} {value:.3g}, allowed {limit * factor:g}')
    if scene.rate_hz is not None and result.rate_hz < scene.rate_hz / slack:
        found.append(f'{result.rate_hz:.2f} pictures a second, wanted {scene.rate_hz / slack:g}')
    return found
