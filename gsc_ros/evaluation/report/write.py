"""Rows to a report: tables as JSON, CSV and Markdown, curves as SVG, one page to look at."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
import json
from pathlib import Path
from typing import Any

from gsc_ros.evaluation.report.cases import Album, choose_cases
from gsc_ros.evaluation.report.figures import FIGURES
from gsc_ros.evaluation.report.plots import plot
from gsc_ros.evaluation.report.rows import ALL, read_rows, sources, Track, tracks
from gsc_ros.evaluation.report.sheet import write_worst
from gsc_ros.evaluation.report.tables import summarise
from gsc_ros.evaluation.report.text import as_csv, markdown, name_of
from gsc_ros.media.outputs import write_file

_TEMPLATE, _PLACE = 'report_page.html', '/*DATA*/null'


def write_report(rows_folder: Path, out: Path) -> None:
    """
    Write tables, curves and pictures into ``out``.

    ``summary.json``, ``.csv`` and ``.md``, ``curves_*.svg``, ``worst_*.jpg`` and ``report.html``.
    The page is one file that needs nothing else.

    :param rows_folder: holds ``*.jsonl``; the rows' pictures are named from its parent on.
    :raises InvalidInputError: if there are no rows, or if one cannot be read.
    """
    rows = read_rows(rows_folder)
    found = tracks(rows)
    summary = summarise(found)
    album = Album(rows_folder.parent)
    originals = sources(rows)
    cases = {track.kind: choose_cases(track, summary[track.kind][ALL]['ours'],
                                      summary[track.kind][ALL]['lead'], originals, album)
             for track in found}
    out.mkdir(parents=True, exist_ok=True)
    _write(out / 'summary.json', json.dumps(summary, indent=1, allow_nan=False) + '\n')
    _write(out / 'summary.md', markdown(summary))
    _write(out / 'summary.csv', as_csv(summary))
    curves = plot(summary, out)
    for track in found:
        table = summary[track.kind][ALL]
        write_worst(track, table['ours'], table['lead'], originals, rows_folder.parent,
                    out / f'worst_{track.kind}.jpg')
    _write(out / 'report.html', _page(found, summary, cases, album.pictures, curves))


def _write(path: Path, text: str) -> None:
    """Put a file in place when it is whole; what is no Unicode in a name becomes '?'."""
    write_file(path, text.encode('utf-8', 'replace'))


def _page(found: Sequence[Track], summary: dict[str, Any], cases: dict[str, Any],
          pictures: Sequence[bytes], curves: dict[str, Path]) -> str:
    data = {'summary': summary, 'cases': cases,
            'figures': {key: asdict(figure) for key, figure in FIGURES.items()},
            'names': {codec: name_of(codec) for track in found for codec in track.codecs},
            'images': [_data_url('webp', picture) for picture in pictures],
            'curves': {kind: _data_url('svg+xml', path.read_bytes())
                       for kind, path in curves.items()}}
    text = json.dumps(data, allow_nan=False, separators=(',', ':'))
    template = (files('gsc_ros') / 'assets' / _TEMPLATE).read_text()
    return template.replace(_PLACE, _for_script(text))


def _for_script(text: str) -> str:
    """Escape JSON so that no file's name or caption ends the script or begins a comment in it."""
    return text.translate({ord(c): f'\\u{ord(c):04x}' for c in '<>&'})


def _data_url(kind: str, image: bytes) -> str:
    """Return an image as a URL that a page holds in itself."""
    return f'data:image/{kind};base64,{base64.b64encode(image).decode("ascii")}'
