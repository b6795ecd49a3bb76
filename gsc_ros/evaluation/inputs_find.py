"""Finds what is to be evaluated among and below the paths that a user names."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.inputs import BagInput, FolderInput, Input, StillInput, VideoInput
from gsc_ros.media.bag_reader import Bag, BAG_SUFFIXES, picture_topics
from gsc_ros.media.sources import PICTURE_SUFFIXES, VideoSource
import numpy as np

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg', '.ts', '.y4m')


def find_inputs(paths: Sequence[Path], *, topics: Sequence[str] = (), sets: Sequence[str] = (),
                limit: int | None = None) -> list[Input]:
    """
    All pictures, videos and camera topics of bags among or below ``paths``.

    Pictures come first, in the order of set and name. With ``limit`` each set gives that many of
    them, spread evenly over it, so that a drive is sampled along its way.

    :param topics: of the bags; none: every camera.
    :param sets: only these; none: all.
    :raises InvalidInputError: if a path, topic or set does not exist, nothing is found, or two
        inputs have one name.
    """
    found: list[Input] = []
    for path in paths:
        if not path.exists():
            raise InvalidInputError('input', path, 'an existing picture, video, folder or bag')
        before = len(found)
        found += _below(path, topics) if path.is_dir() else _of_file(path, topics)
        if len(found) == before:
            raise InvalidInputError('input', path, 'a bag or video, or a folder with some, or '
                                    f'with pictures ({", ".join(PICTURE_SUFFIXES)})')
    unknown = set(sets) - {item.dataset for item in found}
    if unknown:
        raise InvalidInputError('sets', sorted(unknown), sorted({i.dataset for i in found}))
    chosen = [item for item in found if not sets or item.dataset in sets]
    _check_names(chosen)
    stills = [item for item in chosen if not item.stream]
    return [*_spread(stills, limit), *(item for item in chosen if item.stream)]


def _of_file(path: Path, topics: Sequence[str]) -> list[Input]:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return [StillInput(path)]
    if path.suffix.lower() in BAG_SUFFIXES:
        return _of_bag(path, topics)
    VideoSource(path)   # says what is wrong with it
    return [VideoInput(path)]


def _of_bag(path: Path, topics: Sequence[str]) -> list[Input]:
    with Bag(path) as bag:
        return [BagInput(path, t.name) for t in picture_topics(bag, topics)]


def _below(folder: Path, topics: Sequence[str]) -> list[Input]:
    """Everything in a folder and its subfolders; a folder that is a bag is not entered."""
    if (folder / 'metadata.yaml').is_file():
        return _of_bag(folder, topics)
    found: list[Input] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found += _below(path, topics)
        elif path.suffix.lower() in (*PICTURE_SUFFIXES, *BAG_SUFFIXES, *VIDEO_SUFFIXES):
            found += _of_file(path, topics)
    return found


def _check_names(inputs: Sequence[Input]) -> None:
    twice = sorted(name for name, times in Counter(item.name for item in inputs).items()
                   if times > 1)
    if twice:
        raise InvalidInputError('inputs called', twice,
                                'different names; rename or evaluate apart')


def _spread(stills: Sequence[Input], limit: int | None) -> list[Input]:
    sets: dict[str, list[Input]] = {}
    for still in stills:
        sets.setdefault(still.dataset, []).append(still)
    chosen: list[Input] = []
    for name in sorted(sets):
        items = sets[name]
        count = min(limit or len(items), len(items))
        chosen += [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
    return chosen


def as_streams(inputs: Sequence[Input], rate: float) -> list[Input]:
    """Join the stills of each set to a stream of ``rate`` pictures a second; keep the rest."""
    sets: dict[str, list[Path]] = {}
    for item in inputs:
        if isinstance(item, StillInput):
            sets.setdefault(item.dataset, []).append(item.path)
    folders: list[Input] = [FolderInput(tuple(paths), rate) for paths in sets.values()]
    return folders + [item for item in inputs if item.stream]
