"""The worst pictures of a run on one sheet, to be looked at."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from gsc_ros.evaluation.report.cases import worst_first
from gsc_ros.evaluation.report.figures import FIGURES
from gsc_ros.evaluation.report.rows import figure, is_ours, OURS, Picture, Track
from gsc_ros.evaluation.report.text import name_of
from gsc_ros.evaluation.rows import Row
from PIL import Image

_ROWS = 12
_CELL = 3.2     # inches wide
_DPI = 100
_PLAIN = f'{OURS}-plain'


def write_worst(track: Track, ours: str | None, lead: str | None,
                sources: Mapping[Picture, Row], folder: Path, path: Path) -> None:
    """
    Draw the twelve pictures that ours are worst at: original, ours, plain and the best peer.

    All at the middle one of the rates. Nothing is written where no picture was kept.

    :param ours: the codec that is judged, ``lead`` the figure that it is judged by.
    :param folder: that the rows' pictures are named from.
    """
    if ours is None or lead is None:
        return
    target = track.targets[len(track.targets) // 2]
    codecs = [ours, *([_PLAIN] if _PLAIN in track.codecs and ours != _PLAIN else []),
              *_best_peer(track, target, lead)]
    chosen = [p for p in worst_first(track, ours, lead)
              if (sources.get(p) or {}).get('picture') and p in track.get(target, ours)][:_ROWS]
    if chosen:
        rows = [[sources[p], *(track.get(target, codec).get(p) for codec in codecs)]
                for p in chosen]
        _draw(rows, lead, f'{target:g} {track.kind}', folder, path)


def _best_peer(track: Track, target: float, lead: str) -> list[str]:
    """Name the peer with the best mean at a rate; none where there are no peers."""
    means: dict[str, float] = {}
    for codec in track.codecs:
        values = [value for row in track.get(target, codec).values()
                  if not isnan(value := figure(row, lead))]
        if values and not is_ours(codec):
            means[codec] = FIGURES[lead].better * sum(values) / len(values)
    return [max(means, key=lambda codec: means[codec])] if means else []


def _draw(rows: Sequence[Sequence[Row | None]], lead: str, rate: str, folder: Path, path: Path
          ) -> None:
    import matplotlib
    matplotlib.use('Agg')
    matplotlib.rcdefaults()   # a matplotlibrc in the current folder is not ours
    from matplotlib import pyplot
    sheet, axes = pyplot.subplots(
        len(rows), len(rows[0]), squeeze=False, layout='constrained',
        figsize=(_CELL * len(rows[0]), 0.85 * _CELL * len(rows)))
    for line, row in zip(axes, rows, strict=True):
        for axis, cell in zip(line, row, strict=True):
            axis.set_axis_off()
            file = folder / cell['picture'] if cell and cell.get('picture') else None
            if cell is not None and file is not None and file.is_file():
                axis.imshow(Image.open(file))
                # a dollar sign in a file's name is no formula
                axis.set_title(_title(cell, lead), fontsize=7, parse_math=False)
    sheet.suptitle(f'The worst at {rate}', fontsize=10)
    sheet.savefig(path, dpi=_DPI)
    pyplot.close(sheet)


def _title(row: Mapping[str, Any], lead: str) -> str:
    if row['variant'] == 'source':
        name = f'{row["input"]} #{row["index"]}'[-48:]
        return ''.join(c if c.isprintable() else '?' for c in name)
    return f'{name_of(row["codec"])}, {row["bytes"]} B, {lead} {figure(dict(row), lead):.3f}'
