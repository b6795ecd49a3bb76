"""Single pictures for the report: which, their figures by rate and codec, and what to look at."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
import hashlib
import io
from pathlib import Path
from typing import Any

from gsc_ros.evaluation.report.figures import COMPARED, FIGURES
from gsc_ros.evaluation.report.rows import figure, Picture, Track
from gsc_ros.evaluation.rows import Row
import numpy as np
from PIL import Image

Table = dict[str, Any]
# What a browser opens with ease, base64 included: 4/3 of this and the tables.
MAX_PICTURE_BYTES = 12 * 10 ** 6
MAX_CASES = 400
_MAX_SHOWN, _WORST = 24, 8
_MAX_SIDE = 960
_QUALITY = 82
_KEPT = (*COMPARED, 'f1', 'tp', 'fp', 'fn')


class Album:
    """Embedded pictures; a file that several rows show is kept once."""

    def __init__(self, folder: Path, max_bytes: int = MAX_PICTURE_BYTES) -> None:
        self.pictures: list[bytes] = []
        self._folder, self._left = folder, max_bytes
        self._known: dict[str, int] = {}

    def add(self, name: str | None) -> int | None:
        """Return the number of the picture; None if it is missing."""
        path = self._folder / name if name else None
        if path is None or not path.is_file():
            return None
        data = path.read_bytes()
        mark = hashlib.sha256(data).hexdigest()
        if mark not in self._known:
            small = _webp(data)
            self._left -= len(small)
            self._known[mark] = len(self.pictures)
            self.pictures.append(small)
        return self._known[mark]

    @property
    def full(self) -> bool:
        """Whether the next case would make the report too large to handle."""
        return self._left <= 0


def _webp(data: bytes) -> bytes:
    picture = Image.open(io.BytesIO(data)).convert('RGB')
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, 'WEBP', quality=_QUALITY)
    return stream.getvalue()


def choose_cases(track: Track, ours: str | None, lead: str | None,
                 sources: Mapping[Picture, Row], album: Album) -> list[Table]:
    """
    Cases of a track, the worst of ours first, with the pictures of those that fit in the album.

    Shown are the worst, then an even sample of the others, so that nothing is hidden or chosen
    for its looks.
    """
    order = worst_first(track, ours, lead)
    visible = [p for p in order if sources.get(p, {}).get('picture')]
    rest = visible[_WORST:]
    count = min(len(rest), _MAX_SHOWN - _WORST)
    sample = [rest[i] for i in np.linspace(0, len(rest) - 1, count).round().astype(int)]
    shown = set()
    for picture in visible[:_WORST] + sample:
        if album.full:
            break
        album.add(sources[picture]['picture'])
        for row in _rows(track, picture):
            album.add(row['picture'])
        shown.add(picture)
    listed = [p for i, p in enumerate(order) if i < MAX_CASES or p in shown]
    return [_case(track, i, picture, sources.get(picture), album if picture in shown else None)
            for i, picture in enumerate(listed)]


def _rows(track: Track, picture: Picture) -> Iterable[Row]:
    for target in track.targets:
        for codec in track.codecs:
            row = track.get(target, codec).get(picture)
            if row is not None:
                yield row


def worst_first(track: Track, ours: str | None, lead: str | None) -> list[Picture]:
    """By the mean of our leading figure over the rates; pictures without one come last."""
    found: dict[Picture, list[float]] = {}
    for target in track.targets:
        for codec in track.codecs:
            for picture, row in track.get(target, codec).items():
                values = found.setdefault(picture, [])
                if codec == ours and lead is not None and not np.isnan(figure(row, lead)):
                    values.append(figure(row, lead) * FIGURES[lead].better)
    return sorted(found, key=lambda p: (not found[p], np.mean(found[p]) if found[p] else 0, p))


def _case(track: Track, number: int, picture: Picture, source: Row | None, album: Album | None
          ) -> Table:
    rows = list(_rows(track, picture))
    table: Table = {}
    for row in rows:
        target = f'{row[f"target_{track.kind}"]:g}'
        table.setdefault(target, {})[row['codec']] = _entry(row, album)
    first = source or rows[0]
    several = picture[1] or track.kind == 'kbps'
    return {'id': number, 'input': f'{picture[0]} #{picture[1]}' if several else picture[0],
            'set': first['set'], 'width': first['width'], 'height': first['height'],
            'source': album.add(source['picture']) if album and source else None, 'rows': table}


def _entry(row: Row, album: Album | None) -> Table:
    """Make a row for the page; keys of one letter, because there are thousands of rows."""
    metrics = {key: round(row['metrics'][key], 4) for key in _KEPT
               if row['metrics'].get(key) is not None}
    return {'b': row['bytes'], 'x': row.get('exceeded') or 0, 'a': row.get('age_s'),
            'm': metrics, 'c': (row.get('detail') or {}).get('caption', ''),
            's': album.add(row['picture']) if album else None}
