"""
The thin link at full length: encoder, link ends and decoder as real nodes over emulated links.

    python bench/link_scenarios.py scenes [--seconds 60] [--only N] --out FOLDER
    python bench/link_scenarios.py soak [--seconds 600] --out FOLDER

Writes scenes.md and scenes.png, or soak.md and soak.png. Needs ROS and the built messages.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
import json
from pathlib import Path
import random
import statistics
import sys
import time

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]

from gsc_ros.link.emulator import Passage  # noqa: E402
from gsc_ros.link.line_settings import LineSettings  # noqa: E402
from gsc_ros.link.radio import Radio  # noqa: E402
from gsc_ros.units import SECOND_NS  # noqa: E402
from link_rig import (  # noqa: E402
    begin,
    clip_pictures,
    joined,
    moving_pictures,
    Rig,
    until,
    Watch,
)
from link_scenes import Arrival, faults, Outcome, outcome, Scene, scenes  # noqa: E402

DOMAINS = (98, 99)
PORT = 47510
KILL_EVERY_S = 20.0
SEED = 7   # loses 21 % in the first minute, 1.25 s at a time at most
SOAK = LineSettings(64.0, 0.1, loss=0.02)
SOAK_CEILING = 4000


def pictures_of(clips: Path | None, cameras: int) -> list[Iterator[np.ndarray]]:
    """Return clips where they are, else moving textures."""
    names = ('car-detection.mp4', 'bottle-detection.mp4')
    if clips is None:
        return [moving_pictures() for _ in range(cameras)]
    return [clip_pictures(clips / names[camera]) for camera in range(cameras)]


# Scenes

@dataclass(frozen=True)
class Run:
    """A scene, what it came to, and what happened in it."""

    scene: Scene
    result: Outcome
    link_age_s: float   # median age since the encoder published
    arrivals: list[Arrival]
    decoded: int
    up: list[Passage]
    start_ns: int
    end_ns: int


def run_scene(scene: Scene, seconds: float, rig: Rig, link: Radio, watch: Watch) -> Run:
    """Start the robot's end of the link anew, then let the link have its way for a while."""
    start_ns = begin(scene, rig, link, watch)
    until(lambda: time.time_ns() > start_ns + seconds * SECOND_NS, '', rig, seconds + 60)
    end_ns = time.time_ns()
    crossed = outcome(scene, watch.crossings(), link.logs[0], start_ns, end_ns)
    return Run(scene, outcome(scene, watch.packets, link.logs[0], start_ns, end_ns),
               crossed.median_age_s,
               [a for a in watch.packets if start_ns <= a.arrived_ns <= end_ns],
               sum(start_ns <= a.arrived_ns <= end_ns for a in watch.pictures),
               link.logs[0], start_ns, end_ns)


def scenes_table(runs: list[Run]) -> str:
    """Make one line a scene."""
    lines = ['| link | ceiling, bytes/s | busiest second | pictures/s | of these decoded | '
             'age median / worst, s | of this in the link, s | longest gap, s | queue, s | '
             'adapts in, s | holds |',
             '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |']
    for run in runs:
        r = run.result
        adapted = '' if r.adapted_s is None else f'{r.adapted_s:.1f}'
        lines.append(
            f'| {run.scene.name} | {run.scene.ceiling} | {r.busiest_second} | {r.rate_hz:.2f} | '
            f'{run.decoded / max(1, r.pictures):.0%} | {r.median_age_s:.2f} / '
            f'{r.worst_age_s:.2f} | {run.link_age_s:.2f} | {r.stall_s:.2f} | {r.queue_s:.2f} | '
            f'{adapted} | '
            f'{"; ".join(faults(run.scene, r)) or "all"} |')
    return '\n'.join(lines)


def plot_scenes(runs: list[Run], file: Path) -> None:
    """Draw rate, queue and age over time, one column a scene."""
    figure, axes = plt.subplots(3, len(runs), figsize=(5 * len(runs), 8), squeeze=False,
                                sharex='col')
    for column, run in zip(axes.T, runs, strict=True):
        times = np.array([p.at_ns for p in run.up]) / 1e9
        sizes = np.array([p.size for p in run.up])
        grid = np.arange(0, (run.end_ns - run.start_ns) / 1e9, 0.1)
        rate = [sizes[(times > t - 1) & (times <= t)].sum() * 8 / 1000 for t in grid]
        column[0].plot(grid, rate, label='sent in the last second')
        speeds = [run.scene.line.kbps_at(round(t * SECOND_NS)) for t in grid]
        column[0].plot(grid, speeds, 'k--', label='link')
        column[0].set(title=run.scene.name, ylabel='kbit/s')
        column[0].legend()
        column[1].plot(times, [p.queue_ns / 1e9 for p in run.up], '.')
        column[1].set(ylabel='wait for the link, s')
        column[2].plot([(a.arrived_ns - run.start_ns) / 1e9 for a in run.arrivals],
                       [(a.arrived_ns - a.stamp_ns) / 1e9 for a in run.arrivals], '.')
        column[2].set(ylabel='picture age, s', xlabel='s')
        for axis in column:
            axis.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def all_scenes(args: argparse.Namespace) -> None:
    """Run the scenes one after the other on the same nodes."""
    wanted = [scene for number, scene in enumerate(scenes())
              if args.only is None or number in args.only]
    with joined(args.out / 'logs', DOMAINS, PORT, pictures_of(args.clips, 1), wanted[0].line,
                wanted[0].ceiling, SEED) as parts:
        runs = []
        for scene in wanted:
            seconds = max(args.seconds, 90.0) if scene.slow else args.seconds
            runs.append(run_scene(scene, seconds, *parts))
            print(scenes_table(runs[-1:]).splitlines()[-1], flush=True)
    (args.out / 'scenes.md').write_text(scenes_table(runs) + '\n')
    plot_scenes(runs, args.out / 'scenes.png')


# Soak

@dataclass(frozen=True)
class Kill:
    """A process that was killed and when all cameras' pictures came again [s]."""

    at_s: float
    name: str
    packets_s: float    # behind the link
    pictures_s: float   # decoded


class Memory:
    """Resident memory of all processes over time: (s, name, life, MB)."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, str, int, float]] = []
        self._due_s = 0.0

    def sample(self, rig: Rig, at_s: float) -> None:
        """Note it, at most once a second."""
        if at_s >= self._due_s:
            self._due_s = at_s + 1.0
            self.rows += [(at_s, name, process.lives, process.resident_mb())
                          for name, process in rig.processes.items()]

    def growth(self, name: str, settle_s: float = 40.0) -> tuple[float, float]:
        """Most memory [MB], and the median growth of lives that lasted [MB per minute]."""
        rows = [row for row in self.rows if row[1] == name]
        slopes = []
        for life in {row[2] for row in rows}:
            mine = [row for row in rows if row[2] == life]
            settled = [row for row in mine if row[0] >= mine[0][0] + settle_s]
            if len(settled) >= 15:
                slopes.append(np.polyfit([r[0] for r in settled], [r[3] for r in settled], 1)[0])
        return max(row[3] for row in rows), 60 * statistics.median(slopes or [float('nan')])


def recovered_s(arrivals: list[Arrival], killed_ns: int, cameras: int) -> float | None:
    """Seconds until all cameras had a picture taken after the kill; None: not yet."""
    first: dict[str, int] = {}
    for arrival in reversed(arrivals):
        if arrival.arrived_ns < killed_ns:
            break
        if arrival.stamp_ns > killed_ns:
            first[arrival.stream] = arrival.arrived_ns
    return (max(first.values()) - killed_ns) / SECOND_NS if len(first) == cameras else None


def kill_one(name: str, rig: Rig, watch: Watch, started_ns: int, memory: Memory) -> Kill:
    """Kill a process, start it again at once, watch until the time for the next kill."""
    process = rig.processes[name]
    killed_ns = time.time_ns()
    process.kill()
    process.start()
    while time.time_ns() < killed_ns + KILL_EVERY_S * SECOND_NS:
        rig.check()
        memory.sample(rig, (time.time_ns() - started_ns) / SECOND_NS)
        time.sleep(0.1)
    packets, pictures = (recovered_s(list(a), killed_ns, 2)
                         for a in (watch.packets, watch.pictures))
    return Kill((killed_ns - started_ns) / SECOND_NS, name,
                float('inf') if packets is None else packets,
                float('inf') if pictures is None else pictures)


def soak(args: argparse.Namespace) -> None:
    """Kill a process at random every 20 s, with two cameras."""
    chance = random.Random(args.seed)
    memory, kills = Memory(), []
    with joined(args.out / 'logs', DOMAINS, PORT, pictures_of(args.clips, 2), SOAK, SOAK_CEILING,
                SEED) as (rig, link, watch):
        started_ns = time.time_ns()
        while time.time_ns() < started_ns + args.seconds * SECOND_NS:
            name = chance.choice(list(rig.processes))
            kills.append(kill_one(name, rig, watch, started_ns, memory))
            print(kills[-1], flush=True)
        busiest = outcome(Scene('', SOAK, SOAK_CEILING), watch.packets, link.logs[0], started_ns,
                          time.time_ns()).busiest_second
    (args.out / 'soak.json').write_text(json.dumps(
        {'kills': [vars(kill) for kill in kills], 'memory': memory.rows}))
    (args.out / 'soak.md').write_text(soak_table(kills, memory, busiest, args.seconds) + '\n')
    plot_soak(kills, memory, args.out / 'soak.png')


def soak_table(kills: list[Kill], memory: Memory, busiest: int, seconds: float) -> str:
    """Make one line a process."""
    lines = [f'{seconds:g} s, two cameras, 64 kbit/s with 100 ms and 2 % loss, ceiling '
             f'{SOAK_CEILING} bytes/s, busiest second {busiest}; a process killed with SIGKILL '
             f'and started again every {KILL_EVERY_S:g} s.', '',
             '| process | kills | packets of both cameras again after, s (median / worst) | '
             'pictures again after, s | most memory, MB | growth, MB/minute |',
             '| --- | --- | --- | --- | --- | --- |']
    for name in sorted({row[1] for row in memory.rows}):
        mine = [kill for kill in kills if kill.name == name]
        most, growth = memory.growth(name)
        spans = [_span([getattr(kill, what) for kill in mine]) for what in ('packets_s',
                                                                            'pictures_s')]
        lines.append(f'| {name} | {len(mine)} | {spans[0]} | {spans[1]} | {most:.0f} | '
                     f'{growth:+.1f} |')
    return '\n'.join(lines)


def _span(values: list[float]) -> str:
    return f'{statistics.median(values):.1f} / {max(values):.1f}' if values else ''


def plot_soak(kills: list[Kill], memory: Memory, file: Path) -> None:
    """Draw memory over time, and how long each recovery took."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 7), sharex=True)
    for name in sorted({row[1] for row in memory.rows}):
        mine = [row for row in memory.rows if row[1] == name]
        above.plot([row[0] for row in mine], [row[3] for row in mine], label=name)
        dead = [kill for kill in kills if kill.name == name]
        below.plot([k.at_s for k in dead], [k.packets_s for k in dead], 'o', label=name)
    above.set(ylabel='resident memory, MB', ylim=(0, None))
    below.set(ylabel='packets of both cameras again after, s', xlabel='s', ylim=(0, None))
    below.axhline(5.0, color='k', linestyle='--')
    above.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('what', choices=('scenes', 'soak'))
    parser.add_argument('--seconds', type=float, help='of each scene (60), of the soak (600)')
    parser.add_argument('--only', type=int, action='append', help='number of a scene, from 0')
    parser.add_argument('--clips', type=Path, help='folder with clips; default: made-up pictures')
    parser.add_argument('--seed', type=int, default=1, help='of the kills')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    args.seconds = args.seconds or {'scenes': 60.0, 'soak': 600.0}[args.what]
    args.out.mkdir(parents=True, exist_ok=True)
    {'scenes': all_scenes, 'soak': soak}[args.what](args)


if __name__ == '__main__':
    main()
