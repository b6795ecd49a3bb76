"""Rate table on still pictures: every candidate at every rate, one CSV row each, resumable."""
from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.candidates import Candidate, Producer
from gsc_ros.evaluation.metrics import agreement, Memo, ms_ssim, MS_SSIM_MIN_SIDE, psnr
from gsc_ros.evaluation.peers import Distance
from gsc_ros.sources import PICTURE_SUFFIXES, read_picture
import numpy as np
from PIL import Image
from tqdm import tqdm

if TYPE_CHECKING:
    from gsc_ros.codec.objects import SceneObject

DEFAULT_RATES = (0.005, 0.01, 0.02, 0.04)


@dataclass(frozen=True)
class Still:
    """A picture file of a named set."""

    dataset: str
    name: str
    path: Path

    def read(self) -> np.ndarray:
        """Pixels, uint8 (H, W, 3)."""
        return read_picture(self.path)


@dataclass(frozen=True)
class Row:
    """One candidate on one picture at one rate; NaN where a figure was not wanted."""

    dataset: str
    picture: str
    target: float      # bits per pixel asked for
    codec: str
    coder: str
    text: bool
    max_bytes: int
    bytes: int
    payload: int
    exceeded: int
    bpp: float         # bits per pixel of the real bytes
    scale: int
    quality: int
    generated: bool
    psnr: float
    ms_ssim: float
    vgg: float
    matched: float
    found: float
    wanted: float
    encode_s: float
    decode_s: float


class Detects(Protocol):
    """Anything that finds objects in a picture."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        """Objects of a picture (H, W, 3) uint8."""
        ...


def find_stills(inputs: Sequence[Path], sets: Sequence[str] = (), limit: int | None = None
                ) -> list[Still]:
    """
    Pictures named or below the folders named, in order of set and name.

    A set is the folder that a picture lies in. With ``limit`` each set gives that many pictures,
    spread evenly over it, so that a drive is sampled along its way.

    :raises InvalidInputError: if an input does not exist, a set is unknown or nothing is found.
    """
    found: dict[str, list[Still]] = {}
    for item in inputs:
        if not item.exists():
            raise InvalidInputError('input', item, 'an existing picture or folder')
        files = sorted(p for p in item.rglob('*') if p.suffix.lower() in PICTURE_SUFFIXES) \
            if item.is_dir() else [item]
        for path in files:
            dataset = path.parent.resolve().name
            found.setdefault(dataset, []).append(Still(dataset, path.stem, path))
    unknown = set(sets) - set(found)
    if unknown:
        raise InvalidInputError('sets', sorted(unknown), sorted(found))
    stills: list[Still] = []
    for dataset in sorted(sets or found):
        items = found[dataset]
        count = min(limit or len(items), len(items))
        stills += [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
    if not stills:
        raise InvalidInputError('input', [str(p) for p in inputs], f'pictures {PICTURE_SUFFIXES}')
    return stills


class Judge:
    """All figures of a decoded picture; what belongs to the original is worked out once."""

    def __init__(self, distance: Distance, detector: Detects | None = None) -> None:
        self.distance, self._detector = distance, detector
        self._known: Memo[dict[str, float]] = Memo()
        self._wanted: Memo[list[SceneObject]] = Memo()

    def figures(self, picture: np.ndarray, original: np.ndarray) -> dict[str, float]:
        """Columns of a ``Row`` from ``psnr`` to ``wanted``."""
        return self._known.get(picture, original, lambda: self._figures(picture, original))

    def _figures(self, picture: np.ndarray, original: np.ndarray) -> dict[str, float]:
        large = min(original.shape[:2]) >= MS_SSIM_MIN_SIDE
        result = {'psnr': psnr(picture, original),
                  'ms_ssim': ms_ssim(picture, original) if large else float('nan'),
                  'vgg': self.distance(picture, original),
                  'matched': float('nan'), 'found': float('nan'), 'wanted': float('nan')}
        detector = self._detector
        if detector is not None:
            wanted = self._wanted.get(original, original, lambda: detector.detect(original))
            result |= asdict(agreement(detector.detect(picture), wanted))
        return result


class RowFile:
    """Rows of one producer as CSV; knows what is done already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path.is_file():
            self.rows = read_rows(path)
            self._write('w', self.rows)   # a line cut by a kill must not swallow the next

    def has(self, still: Still, target: float, codecs: Sequence[str]) -> bool:
        """Whether every codec's row of that picture and rate is there."""
        done = {r.codec for r in self.rows if (r.dataset, r.picture, r.target)
                == (still.dataset, still.name, target)}
        return done >= set(codecs)

    def append(self, rows: Sequence[Row]) -> None:
        """Write at once, so that a kill costs one picture at most."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write('a' if self.path.is_file() else 'w', rows)
        self.rows += rows

    def _write(self, mode: str, rows: Sequence[Row]) -> None:
        with self.path.open(mode, newline='') as stream:
            writer = csv.DictWriter(stream, [f.name for f in fields(Row)], lineterminator='\n')
            if mode == 'w':
                writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path) -> list[Row]:
    """
    Rows of a file that ``RowFile`` wrote; a last line cut by a kill is left out.

    :raises InvalidInputError: if the columns are not those of ``Row``.
    """
    casts: dict[str, Callable[[str], float | int | str | bool]] = {
        'float': float, 'int': int, 'str': str, 'bool': lambda text: text == 'True'}
    kinds = {f.name: casts[str(f.type)] for f in fields(Row)}
    lines = path.read_text().splitlines(keepends=True)
    reader = csv.DictReader(line for line in lines if line.endswith('\n'))
    if reader.fieldnames != list(kinds):
        raise InvalidInputError(f'columns of {path}', reader.fieldnames, list(kinds))
    return [Row(**{name: kinds[name](value) for name, value in line.items()})  # type: ignore[arg-type]
            for line in reader]


def measure(stills: Sequence[Still], producers: Sequence[Producer], rates: Sequence[float],
            judge: Judge, folder: Path, examples: int = 6) -> list[Row]:
    """
    Measure what is not measured yet; return all rows of these pictures, rates and producers.

    :param folder: gets ``rows/<producer>.csv`` and, for ``examples`` pictures spread over the
        list, ``examples/<set>-<picture>/<rate>_<candidate>.png``.
    """
    shown = {stills[i] for i in
             np.linspace(0, len(stills) - 1, min(examples, len(stills))).round().astype(int)}
    files = {p.name: RowFile(folder / 'rows' / f'{p.name}.csv') for p in producers}
    with tqdm(total=len(stills) * len(producers), unit='pic', mininterval=1) as bar:
        for still in stills:
            original = still.read()
            for producer in producers:
                bar.set_postfix_str(f'{still.dataset}/{still.name} {producer.name}')
                file = files[producer.name]
                missing = [r for r in rates if not file.has(still, r, producer.codecs())]
                if missing:
                    gallery = folder / 'examples' if still in shown else None
                    _measure_one(still, original, producer, missing, judge, file, gallery)
                bar.update()
    names = {(s.dataset, s.name) for s in stills}
    return [row for file in files.values() for row in file.rows
            if (row.dataset, row.picture) in names and row.target in rates]


def _measure_one(still: Still, original: np.ndarray, producer: Producer, rates: Sequence[float],
                 judge: Judge, file: RowFile, gallery: Path | None) -> None:
    """All missing rates of one picture and producer; rows are written together."""
    pixels = original.shape[0] * original.shape[1]
    producer.start(original)
    rows = []
    for target in rates:
        max_bytes = int(target * pixels / 8)
        for candidate in producer.produce(max_bytes):
            figures = judge.figures(candidate.picture, original)
            rows.append(_row(still, target, max_bytes, pixels, producer, candidate, figures))
            if gallery is not None:
                _save_example(gallery, still, original, rows[-1], candidate)
    done = {(r.target, r.codec) for r in file.rows
            if (r.dataset, r.picture) == (still.dataset, still.name)}
    file.append([r for r in rows if (r.target, r.codec) not in done])


def _row(still: Still, target: float, max_bytes: int, pixels: int, producer: Producer,
         candidate: Candidate, figures: dict[str, float]) -> Row:
    return Row(dataset=still.dataset, picture=still.name, target=target, codec=candidate.codec,
               coder=producer.coder, text=producer.text, max_bytes=max_bytes,
               bytes=candidate.size, payload=candidate.payload, exceeded=candidate.exceeded,
               bpp=8 * candidate.size / pixels, scale=candidate.scale, quality=candidate.quality,
               generated=candidate.generated, encode_s=candidate.encode_s,
               decode_s=candidate.decode_s, **figures)


def _save_example(gallery: Path, still: Still, original: np.ndarray, row: Row,
                  candidate: Candidate) -> None:
    folder = gallery / f'{still.dataset}-{still.name}'
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / 'original.png').is_file():
        Image.fromarray(original).save(folder / 'original.png')
    Image.fromarray(candidate.picture).save(folder / f'{row.target:g}_{label(row)}.png')


def label(row: Row) -> str:
    """Short unique name of a row's candidate: ``webp``, ``gsc-plain auto text``."""
    return f'{row.codec} {row.coder} {"text" if row.text else "notext"}' if row.coder \
        else row.codec
