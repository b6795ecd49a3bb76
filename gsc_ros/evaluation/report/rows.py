"""Rows of a run, sorted for the report: tracks (bpp, kbit/s), rates, codecs, pictures."""
from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
import json
from pathlib import Path

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.rows import complete_lines, Row

Picture = tuple[str, int]      # input, index
ALL, SOURCE = 'all', 'source'
UNITS = {'bpp': 'bits per pixel', 'kbps': 'kbit/s'}
OURS = 'gsc'
# Pictures of a stream that are drawn together when intervals are worked out.
_BLOCK_NS = 10 * 10 ** 9
_NEEDED = ('input', 'set', 'index', 'codec', 'bytes', 'payload_bytes', 'bpp', 'variant', 'metrics')


def read_rows(folder: Path) -> list[Row]:
    """
    All rows of ``*.jsonl`` in a folder; a last line cut by a kill is left out.

    :raises InvalidInputError: if there is none, or if a line is no row; names file and line.
    """
    rows = [_row(path, number, line) for path in sorted(folder.glob('*.jsonl'))
            for number, line in complete_lines(path)]
    if not rows:
        raise InvalidInputError('rows', str(folder), 'a folder with *.jsonl; run gsc evaluate')
    return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row: Row = json.loads(line)
        missing = [key for key in _NEEDED if key not in row]
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f'{path} line {number}', repr(line[:40]), 'a JSON object'
                                ) from error
    if missing:
        raise InvalidInputError(f'{path} line {number}', f'without {", ".join(missing)}',
                                f'a row with {", ".join(_NEEDED)}')
    return row


def picture_of(row: Row) -> Picture:
    """Which picture a row is about."""
    return row['input'], row['index']


def block_of(row: Row) -> Hashable:
    """Return what the bootstrap draws as one: a still, or 10 s of a stream."""
    stamp = row.get('stamp_ns')
    return picture_of(row) if stamp is None else (row['input'], stamp // _BLOCK_NS)


def figure(row: Row, key: str) -> float:
    """Return a metric of a row; NaN where it was not taken."""
    value = row['metrics'].get(key)
    return float('nan') if value is None else float(value)


def rate(row: Row, kind: str, counted: str = 'bytes') -> float:
    """
    Rate that was really used, in the track's unit; link headers count in kbit/s.

    :param counted: 'bytes', or 'payload_bytes' to leave out container or packet header (bpp).
    """
    if kind == 'kbps':
        return float(row['kbps'] if row.get('kbps') is not None else row['target_kbps'])
    return float(row['bpp'] * row[counted] / row['bytes'])


@dataclass(frozen=True)
class Track:
    """Rows of one kind of rate: ``rows[target][codec][picture]``."""

    kind: str
    rows: dict[float, dict[str, dict[Picture, Row]]]

    @property
    def targets(self) -> list[float]:
        """Rates asked for, lowest first."""
        return sorted(self.rows)

    @property
    def codecs(self) -> list[str]:
        """Ours first, the default and its plain output before the rest; then the peers."""
        names = {codec for codecs in self.rows.values() for codec in codecs}
        return sorted(names, key=lambda name: (not is_ours(name), name != OURS,
                                               name != f'{OURS}-plain', name))

    @property
    def sets(self) -> list[str]:
        """'all', and each set where there are several."""
        names = sorted({row['set'] for codecs in self.rows.values()
                        for rows in codecs.values() for row in rows.values()})
        return [ALL, *names] if len(names) > 1 else [ALL]

    def only(self, dataset: str) -> Track:
        """Rows of one set."""
        if dataset == ALL:
            return self
        return Track(self.kind, {target: {codec: kept for codec, rows in codecs.items() if (
            kept := {p: r for p, r in rows.items() if r['set'] == dataset})}
            for target, codecs in self.rows.items()})

    def get(self, target: float, codec: str) -> dict[Picture, Row]:
        """Rows by picture; none where the codec was not measured at that rate."""
        return self.rows[target].get(codec, {})


def is_ours(codec: str) -> bool:
    """Whether a codec is one of this package's."""
    return codec == OURS or codec.startswith(f'{OURS}-')


def headline_codec(codecs: Sequence[str]) -> str | None:
    """Name what is compared with the peers: our default, else the first of ours."""
    ours = [codec for codec in codecs if is_ours(codec)]
    return OURS if OURS in ours else next(iter(ours), None)


def tracks(rows: Sequence[Row]) -> list[Track]:
    """Sort rows of codecs (not of the source) into tracks; each knows its source's features."""
    features = {picture: row.get('features') for picture, row in sources(rows).items()}
    found: dict[str, dict[float, dict[str, dict[Picture, Row]]]] = {}
    for row in rows:
        for kind in UNITS:
            target = row.get(f'target_{kind}')
            if target is not None and row['codec'] != SOURCE:
                found.setdefault(kind, {}).setdefault(float(target), {}).setdefault(
                    row['codec'], {})[picture_of(row)] = row | {
                        'source_features': features.get(picture_of(row))}
    return [Track(kind, found[kind]) for kind in UNITS if kind in found]


def sources(rows: Iterable[Row]) -> dict[Picture, Row]:
    """Rows of the source pictures."""
    return {picture_of(row): row for row in rows if row['variant'] == SOURCE}

