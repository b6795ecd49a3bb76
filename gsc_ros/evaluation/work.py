"""Items of work and who does them: one picture, or one segment of a stream, to rows."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
import io
from pathlib import Path

from gsc_ros.codec.errors import BudgetError, GscError, InvalidInputError, PacketError
from gsc_ros.evaluation.candidates import (
    Candidate,
    load_ours,
    OurCodecs,
    parse_codec,
    peer_still,
    recall,
    SOURCE,
    Words,
)
from gsc_ros.evaluation.inputs import Shot
from gsc_ros.evaluation.judges import Judge, JudgeSettings
from gsc_ros.evaluation.rows import Row
from gsc_ros.evaluation.streaming import LiveSettings
import numpy as np
from PIL import Image

# Codec and bits per pixel or kbit/s; None for the source itself.
Task = tuple[str, float | None]
_JPEG_QUALITY = 92
_WARM_UP = 64, 64, 3


@dataclass(frozen=True)
class WorkSettings:
    """What a process needs to know before its first item."""

    codecs: tuple[str, ...]
    judge: JudgeSettings = JudgeSettings()
    live: LiveSettings = LiveSettings()
    device: str = 'cpu'


@dataclass(frozen=True)
class Item:
    """
    One picture (``judged`` is empty) or one segment of a stream; can be sent to other processes.

    :param tasks: what is to be measured: codecs with their rates.
    :param judged: of a segment: places in ``shots`` of the pictures that get rows.
    :param fps: pictures per second of the segment.
    :param keep: whether decoded pictures are wanted for the report.
    """

    input: str
    dataset: str
    stem: str
    shots: tuple[Shot, ...]
    tasks: tuple[Task, ...]
    judged: tuple[int, ...] = ()
    fps: float = 0.0
    keep: bool = False

    def carried(self) -> Item:
        """Return the same item with the files' pictures inside, for a machine without them."""
        return replace(self, shots=tuple(
            replace(s, data=s.data.read_bytes()) if isinstance(s.data, Path) else s
            for s in self.shots))


@dataclass
class Result:
    """Rows of an item, and pictures as JPEG files by their path below the report's folder."""

    rows: list[Row] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    problem: str = ''     # why there are no rows; errors do not survive the way between processes
    fatal: bool = False   # whether the next item would meet the same problem


class Worker:
    """Holds networks and codecs; what an item does not need is not loaded."""

    def __init__(self, settings: WorkSettings, threads: int = 2) -> None:
        self.settings = settings
        self.judge = Judge(settings.judge, threads)
        self._ours: OurCodecs | None = None

    @property
    def ours(self) -> OurCodecs:
        """Our coders for every name of ours in the settings."""
        if self._ours is None:
            ours = [codec for name in self.settings.codecs if (codec := parse_codec(name))]
            self._ours = load_ours(ours, self.settings.device)
            # The first picture loads networks: no time of a row shall contain that.
            list(self._ours.still(np.zeros(_WARM_UP, np.uint8), Words(), ours, 4000))
        return self._ours

    def measure(self, item: Item) -> Result:
        """Do all tasks of an item, or say what its problem is."""
        try:
            if item.judged:
                from gsc_ros.evaluation.clips import measure_segment
                return measure_segment(self, item)
            return self._measure_still(item)
        except (InvalidInputError, PacketError, BudgetError) as error:
            return Result(problem=str(error))
        except GscError as error:
            return Result(problem=str(error), fatal=True)

    def _measure_still(self, item: Item) -> Result:
        shot, result = item.shots[0], Result()
        source = shot.read()
        for task in item.tasks:
            if task[0] == SOURCE:
                add_source(self, result, item, shot, source)
        ours = [(codec, target) for name, target in item.tasks if (codec := parse_codec(name))]
        words = self.ours.describe(source) if any(c.describes for c, _ in ours) else Words()
        for target, max_bytes in _ceilings(item, source).items():
            made = self._code(item, source, words, target, max_bytes)
            for one in made:
                row = self.row(item, shot, source, one, words)
                row |= {'target_bpp': target, 'max_bytes': max_bytes,
                        'exceeded': one.detail.get('exceeded', max(0, one.size - max_bytes))}
                add(result, item, row, one.picture)
        return result

    def _code(self, item: Item, source: np.ndarray, words: Words, target: float, max_bytes: int
              ) -> list[Candidate]:
        names = [name for name, rate in item.tasks if rate == target]
        ours = [codec for name in names if (codec := parse_codec(name))]
        peers = [name for name in names if parse_codec(name) is None]
        made = list(self.ours.still(source, words, ours, max_bytes)) if ours else []
        return made + [peer_still(n, source, max_bytes, self.judge.distance) for n in peers]

    def row(self, item: Item, shot: Shot, source: np.ndarray, one: Candidate, words: Words) -> Row:
        """Judge a candidate against its source; what a row of any kind has."""
        metrics, detections = self.judge.judge(one.picture, source, item.stem)
        if one.sent is not None and one.detail.get('text'):
            metrics = metrics | recall(one.sent, words, self.judge.objects(source))
        return blank_row(item, shot, source) | {
            'codec': one.codec, 'variant': one.variant, 'bytes': one.size,
            'payload_bytes': one.payload, 'bpp': 8 * one.size / pixels(source),
            'metrics': metrics, 'detections': detections,
            'features': self.judge.features(one.picture, source), 'encode_s': one.encode_s,
            'decode_s': one.decode_s, 'peak_mb': peak_mb(), 'detail': one.detail}


def _ceilings(item: Item, source: np.ndarray) -> dict[float, int]:
    """Bits per pixel -> bytes."""
    return {target: int(target * pixels(source) / 8)
            for target in dict.fromkeys(rate for _, rate in item.tasks) if target is not None}


def pixels(picture: np.ndarray) -> int:
    """Count the pixels of a picture (H, W, 3)."""
    return int(picture.shape[0] * picture.shape[1])


def blank_row(item: Item, shot: Shot, source: np.ndarray) -> Row:
    """Return the fields that say which picture a row is about."""
    return {'input': item.input, 'set': item.dataset, 'index': shot.index,
            'stamp_ns': shot.stamp_ns, 'width': source.shape[1], 'height': source.shape[0],
            'target_bpp': None, 'target_kbps': None, 'picture': None}


def add_source(worker: Worker, result: Result, item: Item, shot: Shot, source: np.ndarray) -> None:
    """Add the row of the source itself: how well the detector does on it."""
    metrics, detections = worker.judge.judge_source(source, item.stem)
    add(result, item, blank_row(item, shot, source) | {
        'codec': SOURCE, 'variant': SOURCE, 'bytes': shot.size, 'payload_bytes': shot.size,
        'bpp': 8 * shot.size / pixels(source), 'metrics': metrics, 'detections': detections,
        'features': worker.judge.features(source, source),
        'encode_s': None, 'decode_s': None, 'peak_mb': peak_mb(), 'detail': {}}, source)


def add(result: Result, item: Item, row: Row, picture: np.ndarray) -> None:
    """Add a row and, where wanted, its picture."""
    if item.keep:
        target = row['target_kbps'] if row['target_bpp'] is None else row['target_bpp']
        unit = '' if target is None else f'_{target:g}{"bpp" if row["target_bpp"] else "kbps"}'
        place = ''.join(c if c.isalnum() or c in '.-' else '_' for c in item.input)
        row['picture'] = f'pictures/{place}/{row["index"]:06}_{row["codec"]}{unit}.jpg'
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, 'JPEG', quality=_JPEG_QUALITY, subsampling=0)
        result.pictures[row['picture']] = stream.getvalue()
    result.rows.append(row)


def peak_mb() -> float | None:
    """Most memory that this process has held so far, in 10^6 bytes; None off Linux and macOS."""
    try:
        import resource
    except ImportError:
        return None
    import sys
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
