"""Items of work and their results: one picture, or one segment of a stream, to rows."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from gsc_ros.evaluation.inputs import Shot
from gsc_ros.evaluation.judges.judge import JudgeSettings
from gsc_ros.evaluation.live import LiveSettings
from gsc_ros.evaluation.rows import Row

# Codec and bits per pixel or kbit/s; None for the source itself.
Task = tuple[str, float | None]


@dataclass(frozen=True)
class WorkSettings:
    """Settings that all items of a run share."""

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
        """Return the item with its files read into it, for a machine that lacks the files."""
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
