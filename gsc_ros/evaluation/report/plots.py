"""Rate curves as SVG files."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gsc_ros.evaluation.report.figures import COMPARED, FIGURES
from gsc_ros.evaluation.report.rows import ALL, is_ours, UNITS
from gsc_ros.evaluation.report.text import name_of

_SHOWN = (*COMPARED, 'f1', 'map', 'invented', 'lost', 'flicker', 'label_f1', 'label_map',
          'object_recall')
_COLUMNS = 3


def plot(summary: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write ``curves_bpp.svg`` and ``curves_kbps.svg``, as far as there are such rates."""
    paths = {kind: folder / f'curves_{kind}.svg' for kind in summary}
    for kind, path in paths.items():
        _plot(summary[kind][ALL], kind, path)
    return paths


def _plot(table: dict[str, Any], kind: str, path: Path) -> None:
    import matplotlib
    matplotlib.use('Agg')
    matplotlib.rcdefaults()   # a matplotlibrc in the current folder is not ours
    from matplotlib import pyplot
    found = [codec for codecs in table['rates'].values() for codec in codecs.values()]
    keys = [key for key in _SHOWN if any(key in codec['figures'] for codec in found)]
    lines = max(1, -(-len(keys) // _COLUMNS))
    figure, axes = pyplot.subplots(lines, _COLUMNS, figsize=(5 * _COLUMNS, 3.8 * lines),
                                   layout='constrained', squeeze=False)
    for axis, key in zip(axes.flat, keys, strict=False):
        _draw(axis, table, key, kind)
    for axis in axes.flat[len(keys):]:
        axis.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc='outside lower center',
                  ncols=min(6, len(labels) or 1), frameon=False)
    with matplotlib.rc_context({'svg.hashsalt': kind}):
        figure.savefig(path, metadata={'Date': None})     # the same rows give the same file
    pyplot.close(figure)


def _draw(axis: Any, table: dict[str, Any], key: str, kind: str) -> None:
    """All codecs; a hollow point stands for pictures that exceeded their ceiling."""
    codecs = list(dict.fromkeys(c for found in table['rates'].values() for c in found))
    for number, codec in reversed(list(enumerate(codecs))):   # ours on top
        points = [found[codec] for found in table['rates'].values()
                  if codec in found and key in found[codec]['figures']]
        if points:
            banded = codec == table['ours'] or not is_ours(codec)
            _curve(axis, points, key, codec, f'C{number % 10}', banded)
    arrow = 'higher' if FIGURES[key].better > 0 else 'lower'
    axis.set_title(f'{FIGURES[key].name} ({arrow} is better)', fontsize=10)
    axis.set_xscale('log')
    axis.set_xticks([float(target) for target in table['rates']], list(table['rates']))
    axis.set_xticks([], minor=True)
    axis.set_xlabel(f'{UNITS[kind]}, real bytes', fontsize=9)
    axis.grid(alpha=0.25, which='both')


def _curve(axis: Any, points: Sequence[dict[str, Any]], key: str, codec: str, colour: str,
           banded: bool) -> None:
    points = sorted(points, key=lambda point: point['rate'])
    rates = [point['rate'] for point in points]
    values = [point['figures'][key] for point in points]
    axis.plot(rates, [v['value'] for v in values], color=colour, label=name_of(codec),
              linewidth=2.2 if is_ours(codec) else 1.3, linestyle='-' if is_ours(codec) else '--')
    axis.scatter(rates, [v['value'] for v in values], s=26, zorder=3, edgecolors=colour,
                 color=['none' if point['too_large'] else colour for point in points])
    if banded and all(v['low'] is not None for v in values):
        axis.fill_between(rates, [v['low'] for v in values], [v['high'] for v in values],
                          color=colour, alpha=0.12, linewidth=0)
