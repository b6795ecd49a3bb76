"""Curves of a run's figures."""
from __future__ import annotations

import json
from pathlib import Path


def plot_curves(log: Path, out: Path) -> None:
    """Draw every figure of a log file against the step, one small plot each."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    series: dict[str, list[tuple[int, float]]] = {}
    for text in log.read_text().splitlines():
        line = json.loads(text)
        for key, value in line.items():
            if key != 'step':
                series.setdefault(key, []).append((line['step'], value))
    columns = 4
    rows = -(-len(series) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), squeeze=False)
    for axis, (key, points) in zip(axes.flat, series.items(), strict=False):
        axis.plot(*zip(*points, strict=True), linewidth=0.8)
        axis.set_title(key, fontsize=9)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    plt.close(figure)
