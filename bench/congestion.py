"""
Rate adaptation over simulated links, in virtual time: a table, and the traces as a picture.

    python bench/congestion.py --out FOLDER

Writes congestion.md and congestion.png.
"""
from __future__ import annotations

import argparse
from pathlib import Path
import sys

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]

from gsc_ros.link.line_settings import LineSettings  # noqa: E402
from link_bottleneck import adaptation_s, MS, Scenario, simulate, Trace  # noqa: E402

SECONDS = 120
SETTLED_S = 10
STEP_S = 30
SEEDS = range(1, 11)


def scenarios(seed: int) -> dict[str, Scenario]:
    """Name every link that the controller has to live with."""
    changing = tuple((at_s, 4.0 if at_s % (2 * STEP_S) else 16.0)
                     for at_s in range(0, SECONDS, STEP_S))
    return {
        '16 kbit/s, 4 and back, 50 ms': Scenario(
            LineSettings(changing, 0.05), 150, 2000, seed=seed),
        '16 kbit/s, 4 and back, 100 ms, reports up to 100 ms late': Scenario(
            LineSettings(changing, 0.1), 150, 2000, seed=seed, jitter_s=0.1),
        '16 kbit/s, 4 and back, 50 ms, bytes in flight not bounded': Scenario(
            LineSettings(changing, 0.05), 150, 2000, seed=seed, windowed=False),
        '16 kbit/s, 200 ms, 5 % loss, ceiling 64': Scenario(
            LineSettings(16.0, 0.2, loss=0.05), 150, 8000, seed=seed),
        '64 kbit/s, 50 ms, 20 % in bursts of 0.25 s': Scenario(
            LineSettings(64.0, 0.05, loss=0.2, burst_s=0.25), 150, 8000, seed=seed),
        '2.4 kbit/s, 600 ms, 2 % loss, ceiling 16, report 1 s': Scenario(
            LineSettings(2.4, 0.6, loss=0.02), 60, 2000, 1000 * MS, seed=seed),
        '16 kbit/s, 100 ms, ceiling 128, idle from 20 to 80 s': Scenario(
            LineSettings(16.0, 0.1), 150, 16_000, seed=seed,
            wants=lambda now_s: 200.0 if 20 < now_s < 80 else 1e9),
    }


def row(name: str, traces: list[Trace]) -> str:
    """Worst and mean over all seeds; adaptation only where the link changes."""
    used = [trace.utilisation(SETTLED_S, SECONDS) for trace in traces]
    queues = [max(trace.queue_s) for trace in traces]
    mean = sum(sum(trace.queue_s) / len(trace.queue_s) for trace in traces) / len(traces)
    adapted = '-'
    if ' back' in name:
        times = [adaptation_s(trace, at_s, at_s + STEP_S)
                 for trace in traces for at_s in range(STEP_S, SECONDS, STEP_S)]
        adapted = f'{sum(times) / len(times):.1f} / {max(times):.1f}'
    return (f'| {name} | {sum(used) / len(used):.0%} / {min(used):.0%} | {mean:.2f} | '
            f'{max(queues):.2f} | {adapted} |')


def draw(traces: dict[str, Trace], path: Path) -> None:
    """Draw link, rate and queue over time, one panel a link."""
    figure, panels = plt.subplots(len(traces), 1, figsize=(10, 2.4 * len(traces)), sharex=True)
    for panel, (name, trace) in zip(panels, traces.items(), strict=True):
        panel.plot(trace.time_s, [speed / 125 for speed in trace.speed], 'k--', label='link')
        panel.plot(trace.time_s, [rate / 125 for rate in trace.rate], label='rate')
        panel.set_ylabel('kbit/s')
        panel.set_title(name, fontsize=9)
        queue = panel.twinx()
        queue.fill_between(trace.time_s, trace.queue_s, color='tab:red', alpha=0.4)
        queue.set_ylim(0, 4)
        queue.set_ylabel('queue [s]', color='tab:red')
    panels[0].legend(loc='upper right', fontsize=8)
    panels[-1].set_xlabel('s')
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> int:
    """Simulate all links with ten seeds each; draw the first."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--out', type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    runs = {name: [simulate(scenarios(seed)[name], SECONDS) for seed in SEEDS]
            for name in scenarios(1)}
    table = '\n'.join([
        f'| link (sender always busy, {len(SEEDS)} seeds) | link used, mean / least | '
        'mean queue [s] | longest queue [s] | adapts within [s], mean / longest |',
        '| --- | --- | --- | --- | --- |',
        *(row(name, traces) for name, traces in runs.items())])
    (out / 'congestion.md').write_text(table + '\n')
    draw({name: traces[0] for name, traces in runs.items()}, out / 'congestion.png')
    print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
