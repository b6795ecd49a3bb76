"""Rows on disk: one JSON object a line and codec, only ever appended, so that a run can go on."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import json
from pathlib import Path
from typing import Any, IO

from gsc_ros.codec.errors import InvalidInputError

Row = dict[str, Any]
# input, index of the picture, codec, bits per pixel or kbit/s asked for
Key = tuple[str, int, str, float | None]
ROWS, MANIFEST = 'rows', 'manifest.json'
FORMAT = 1


def key_of(row: Mapping[str, Any]) -> Key:
    """Return what a row is about; no two rows of a folder share it."""
    target = row['target_kbps'] if row['target_bpp'] is None else row['target_bpp']
    return row['input'], row['index'], row['codec'], target


def read_rows(folder: Path) -> Iterator[Row]:
    """
    All complete rows of a report folder, file by file; a line cut by a kill is left out.

    :raises InvalidInputError: if a line is none of ours; names file and line.
    """
    for path in sorted((folder / ROWS).glob('*.jsonl')):
        yield from _read(path)


def complete_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file and their numbers from 1 on; a last one cut by a kill is left out."""
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            if line.endswith('\n'):
                yield number, line


def _read(path: Path) -> Iterator[Row]:
    for number, line in complete_lines(path):
        try:
            row = json.loads(line)
            key_of(row)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f'{path} line {number}', repr(line[:40]),
                                    'a row; delete the file to measure anew') from error
        yield row


class RowStore:
    """The rows of a report folder; knows what is there already."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], codecs: Mapping[str, str]
                 ) -> None:
        """
        Open or make a folder.

        :param settings: what all rows depend on (judges, labels); JSON values.
        :param codecs: codec -> fingerprint of what it is made of; '' for a fixed one.
        :raises InvalidInputError: if the folder's rows were measured with others.
        """
        self.folder = folder
        self.known: set[Key] = set()
        self._files: dict[str, IO[str]] = {}
        (folder / ROWS).mkdir(parents=True, exist_ok=True)
        self._agree({'format': FORMAT, 'settings': dict(settings)}, codecs)
        for path in (folder / ROWS).glob('*.jsonl'):
            _drop_cut_line(path)
            self.known.update(key_of(row) for row in _read(path))

    def _agree(self, common: dict[str, Any], codecs: Mapping[str, str]) -> None:
        """Compare with what is there, then write down both."""
        path = self.folder / MANIFEST
        common = json.loads(json.dumps(common))   # as it will be read: tuples are lists
        old = json.loads(path.read_text()) if path.is_file() else {**common, 'codecs': {}}
        for part in ('format', 'settings'):
            if old[part] != common[part]:
                raise InvalidInputError(
                    f'{part} of {self.folder}', _differences(old[part], common[part]),
                    'those of its rows; give another --report, or delete the folder')
        changed = sorted(c for c, mark in codecs.items() if old['codecs'].get(c, mark) != mark)
        if changed:
            raise InvalidInputError(f'rows of {self.folder}', f'{", ".join(changed)} with other '
                                    'weights', 'those that are loaded; give --again to measure '
                                    'them anew, or another --report')
        temporary = path.with_suffix('.tmp')
        temporary.write_text(json.dumps({**common, 'codecs': {**old['codecs'], **codecs}},
                                        indent=1) + '\n')
        temporary.replace(path)

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows at once; one that is there already is left out."""
        touched = set()
        for row in rows:
            if key_of(row) in self.known:
                continue
            file = self._file(row['codec'])
            file.write(json.dumps(row) + '\n')
            touched.add(file)
        for file in touched:
            file.flush()

    def _file(self, codec: str) -> IO[str]:
        if codec not in self._files:
            self._files[codec] = (self.folder / ROWS / f'{codec}.jsonl').open('a')
        return self._files[codec]

    def close(self) -> None:
        """Close the files; idempotent."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _differences(old: Any, new: Any) -> Any:
    """Name only what differs, where both are tables."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return ', '.join(f'{key}={new.get(key)!r} (was {old.get(key)!r})'
                     for key in sorted({*old, *new}) if old.get(key) != new.get(key))


def _drop_cut_line(path: Path) -> None:
    """Cut off what a kill left of a line: it must not swallow the next."""
    with path.open('rb+') as file:
        size = end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b'\n')
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def forget(folder: Path, codecs: Sequence[str]) -> None:
    """Delete the rows of some codecs, so that they are measured anew."""
    path = folder / MANIFEST
    for codec in codecs:
        (folder / ROWS / f'{codec}.jsonl').unlink(missing_ok=True)
    if path.is_file():
        old = json.loads(path.read_text())
        old['codecs'] = {c: mark for c, mark in old['codecs'].items() if c not in codecs}
        path.write_text(json.dumps(old, indent=1) + '\n')
