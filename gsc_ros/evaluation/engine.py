"""Inputs to rows on disk: items are made as they are read and their rows written in order."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
import hashlib
from pathlib import Path
from typing import Any

from gsc_ros import __version__
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.coded_pictures import SOURCE
from gsc_ros.evaluation.executors import Answer, Executor
from gsc_ros.evaluation.inputs import Input, Shot, ShotPace
from gsc_ros.evaluation.peers.registry import STILLS, VIDEOS
from gsc_ros.evaluation.rows import RowStore
from gsc_ros.evaluation.work import Item, Task, WorkSettings
from gsc_ros.units import SECOND_NS
from tqdm import tqdm

_GOLDEN = 0.6180339887498949
# Pixels that one segment may carry; with the items under way this bounds the memory.
_SEGMENT_BYTES = 150 * 10 ** 6


@dataclass(frozen=True)
class EvaluationPlan:
    """
    What is measured.

    Stills are coded one by one at ``bpp``; streams as the live path would at ``kbps``, or one
    by one where ``kbps`` is empty.
    """

    codecs: tuple[str, ...]
    bpp: tuple[float, ...] = ()
    kbps: tuple[float, ...] = ()
    limit: int | None = None         # pictures of a stream that are coded one by one
    seconds: float | None = None     # of each stream
    picture_rate: float = 1.0        # most per second of a stream that is coded one by one
    fps: float = 10.0                # most per second that a codec gets of a stream
    segment_s: float = 10.0          # coders start anew after this long
    judge_s: float = 1.0             # one judged picture per so many seconds
    keep: int = 200                  # pictures of each set that are kept for the report
    max_width: int = 1280            # of streams, as the robot scales them


@dataclass
class Outcome:
    """What a run has done."""

    measured: int = 0                # items
    problems: list[str] = field(default_factory=list)


def evaluate(inputs: Sequence[Input], plan: EvaluationPlan, store: RowStore, executor: Executor
             ) -> Outcome:
    """
    Measure what the store lacks.

    What cannot be read becomes a problem of the outcome, and the rest is measured.

    :raises GscError: if no item can be measured, as when weights are missing.
    """
    outcome = Outcome()
    waiting: deque[tuple[Item, Answer]] = deque()
    total = len(inputs) if not any(item.stream for item in inputs) else None
    with executor, tqdm(total=total, unit=' items', mininterval=1) as bar:
        for item in _items(inputs, plan, outcome):
            missing = _missing(item, store)
            if not missing:
                bar.update()
                continue
            waiting.append((item, executor.submit(replace(item, tasks=missing))))
            bar.set_postfix_str(item.input)
            if len(waiting) >= executor.width:
                _collect(*waiting.popleft(), store, outcome)
                bar.update()
        while waiting:
            _collect(*waiting.popleft(), store, outcome)
            bar.update()
    return outcome


def _collect(item: Item, answer: Answer, store: RowStore, outcome: Outcome) -> None:
    """Write what came of an item: pictures first, so that no row points to nothing."""
    result = answer()
    if result.fatal:
        raise GscError(result.problem)
    if result.problem:
        outcome.problems.append(f'{item.input}: {result.problem}')
        return
    for name, data in result.pictures.items():
        path = store.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    store.append(result.rows)
    outcome.measured += 1


def _missing(item: Item, store: RowStore) -> tuple[Task, ...]:
    """Tasks of an item that lack a row."""
    shots = [item.shots[place] for place in item.judged] or item.shots
    return tuple((codec, target) for codec, target in item.tasks if not all(
        (item.input, shot.index, codec, target) in store.known for shot in shots))


def _items(inputs: Sequence[Input], plan: EvaluationPlan, outcome: Outcome) -> Iterator[Item]:
    kept: dict[str, int] = {}
    for item in inputs:
        made = _segments(item, plan) if item.stream and plan.kbps else _pictures(item, plan)
        try:
            for one in made:
                have = kept.get(item.dataset, 0)
                kept[item.dataset] = have + max(1, len(one.judged))
                yield replace(one, keep=have < plan.keep)
        except GscError as error:   # what was readable is under way
            outcome.problems.append(str(error))


def _pictures(item: Input, plan: EvaluationPlan) -> Iterator[Item]:
    """Each picture on its own."""
    tasks = _tasks([c for c in plan.codecs if parse_codec(c) or c in STILLS], plan.bpp)
    pace = ShotPace(plan.picture_rate, plan.seconds) if item.stream else ShotPace()
    for number, shot in enumerate(item.shots(pace)):
        if item.stream and plan.limit is not None and number >= plan.limit:
            return
        yield Item(item.name, item.dataset, item.stem, (shot,), tasks)


def _tasks(codecs: Sequence[str], rates: Sequence[float]) -> tuple[Task, ...]:
    return (SOURCE, None), *((codec, rate) for codec in codecs for rate in rates)


def _segments(item: Input, plan: EvaluationPlan) -> Iterator[Item]:
    """Take some seconds at a time; what is not as the rest is told when all was taken."""
    tasks = _tasks([c for c in plan.codecs if parse_codec(c) or c in VIDEOS], plan.kbps)
    shots = Readable(item, item.shots(ShotPace(plan.fps, plan.seconds)))
    for number, segment in enumerate(_cut(shots, plan)):
        seconds = (segment[-1].time_ns - segment[0].time_ns) / SECOND_NS
        if number and seconds < plan.judge_s:
            continue   # a scrap at the end, too short for a rate to mean anything
        fps = (len(segment) - 1) / seconds if seconds else plan.fps
        yield Item(item.name, item.dataset, item.stem, segment, tasks, _judged(segment, plan), fps)
    shots.tell()


class Readable:
    """The shots of an input that can be decoded, each with its size; one pass."""

    def __init__(self, item: Input, shots: Iterable[Shot]) -> None:
        self._item, self._shots = item, shots
        self._problems: list[str] = []
        self._bad: list[str] = []

    def __iter__(self) -> Iterator[tuple[Shot, tuple[int, ...]]]:
        before: tuple[int, ...] = ()
        try:
            for shot in self._shots:
                try:
                    shape = shot.read().shape
                except InvalidInputError as error:
                    self._bad.append(str(error))
                    continue
                if before and shape != before:
                    self._problems.append(f'picture {shot.index} has {shape[1]}x{shape[0]} pixels '
                                          f'after {before[1]}x{before[0]}: a new segment begins')
                before = shape
                yield shot, shape
        except GscError as error:   # about the rest: what came before is under way
            self._problems.append(str(error))

    def tell(self) -> None:
        """
        Say what was met.

        :raises GscError: if there was anything; names the first of each kind and counts the rest.
        """
        said = [f'{len(self._bad)} pictures left out, the first: {self._bad[0]}'] \
            if self._bad else []
        said += self._problems[:1]
        if len(self._problems) > 1:
            said.append(f'and {len(self._problems) - 1} more of the kind')
        if said:
            raise GscError(f'{self._item.name}: {"; ".join(said)}')


def _cut(shots: Iterable[tuple[Shot, tuple[int, ...]]], plan: EvaluationPlan
         ) -> Iterator[tuple[Shot, ...]]:
    """Cut a stream where a segment is long or large enough, and where the size changes."""
    segment: list[Shot] = []
    before: tuple[int, ...] = ()
    for shot, shape in shots:
        small = _shrunk(shot, plan.max_width)
        late = segment and small.time_ns - segment[0].time_ns >= plan.segment_s * SECOND_NS
        large = sum(s.size for s in segment if s.kind != 'file') > _SEGMENT_BYTES
        if segment and (late or large or shape != before):
            yield tuple(segment)
            segment = []
        segment.append(small)
        before = shape
    if segment:
        yield tuple(segment)


def _shrunk(shot: Shot, max_width: int) -> Shot:
    """Pixels are scaled at once as the robot does it, so that they take less memory."""
    if shot.kind != 'pixels':
        return shot
    from gsc_ros.media.images import shrink_to_width
    return replace(shot, data=shrink_to_width(shot.read(), max_width))


def _judged(shots: Sequence[Shot], plan: EvaluationPlan) -> tuple[int, ...]:
    """One place in each period, at a phase that no picture rate is in step with."""
    periods: dict[int, list[int]] = {}
    for place, shot in enumerate(shots):
        periods.setdefault(int(shot.time_ns / (plan.judge_s * SECOND_NS)), []).append(place)
    return tuple(places[int(len(places) * (number * _GOLDEN % 1))]
                 for number, places in periods.items())


def model_fingerprint() -> str:
    """Tell weights apart: a digest of everything in the package that our codecs are made of."""
    digest = hashlib.sha256(__version__.encode())
    for file in sorted((Path(__file__).parents[1] / 'assets').iterdir()):
        if file.suffix in ('.safetensors', '.json', '.npz'):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def row_settings(plan: EvaluationPlan, settings: WorkSettings) -> dict[str, Any]:
    """Everything but codecs and rates that rows depend on; rows of others must not be mixed."""
    judge, live = settings.judge, asdict(settings.live)
    return {
        'measures': sorted(judge.measures), 'device': settings.device,
        'labels': str(judge.labels.resolve()) if judge.labels else '',
        'detector': _digest(judge.detector) if judge.detector else '', 'live': live,
        'fps': plan.fps, 'segment_s': plan.segment_s, 'judge_s': plan.judge_s}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
