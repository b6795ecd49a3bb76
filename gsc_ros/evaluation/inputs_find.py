"""Finds what is to be evaluated among and below the paths that a user names."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.inputs import BagInput, FolderInput, Input, StillInput, VideoInput
from gsc_ros.media.bag_reader import Bag, METADATA, picture_topics, storage_files
from gsc_ros.media.files import PICTURE_SUFFIXES
from gsc_ros.media.sources import natural
from gsc_ros.media.videos import check_video, VIDEO_SUFFIXES
import numpy as np


def find_inputs(paths: Sequence[Path], *, topics: Sequence[str] = (), sets: Sequence[str] = (),
                limit: int | None = None, problems: list[str] | None = None,
                leave_out: Path | None = None) -> list[Input]:
    """
    All pictures, videos and camera topics of bags among or below ``paths``.

    Pictures come first, in the order of set and name. With ``limit`` each set gives that many of
    them, spread evenly over it, so that a drive is sampled along its way.

    :param topics: of the bags; none: every camera.
    :param sets: only these; none: all.
    :param problems: gets a line for each video or bag that cannot be read; None: the first one
        is raised. If nothing else is found, it is raised in any case.
    :param leave_out: a folder that is not looked into.
    :raises InvalidInputError: if a path, topic or set does not exist, nothing is found, or two
        inputs have one name.
    """
    search = _Search(tuple(topics), problems, leave_out)
    for path in paths:
        if not isinstance(path, Path) or not path.exists():
            raise InvalidInputError('input', path, 'an existing picture, video, folder or bag')
        search.add(path)
    found = search.found
    unknown = set(sets) - {item.dataset for item in found}
    if unknown:
        raise InvalidInputError('sets', sorted(unknown), sorted({i.dataset for i in found}))
    chosen = [item for item in found if not sets or item.dataset in sets]
    _check_names(chosen)
    stills = [item for item in chosen if not item.stream]
    return [*_spread(stills, limit), *(item for item in chosen if item.stream)]


class _Search:
    """Walks through folders; one unreadable file costs only itself."""

    def __init__(self, topics: Sequence[str], problems: list[str] | None, leave_out: Path | None
                 ) -> None:
        self.found: list[Input] = []
        self._topics, self._problems = topics, problems
        self._seen = {leave_out.resolve()} if leave_out else set()

    def add(self, path: Path) -> None:
        """Add what is below a folder or in a file that a user named."""
        before = len(self.found)
        problems: list[InvalidInputError] = []
        self._below(path, problems) if path.is_dir() else self._try(path, problems)
        if problems and (self._problems is None or len(self.found) == before and not before):
            raise problems[0]
        if self._problems is not None:
            self._problems += [str(problem) for problem in problems]
        if len(self.found) == before and not problems:
            raise InvalidInputError('input', path, 'a bag or video, or a folder with some, or '
                                    f'with pictures ({", ".join(PICTURE_SUFFIXES)})')

    def _below(self, folder: Path, problems: list[InvalidInputError]) -> None:
        """Everything in a folder and its subfolders; a folder that is a bag is not entered."""
        if folder.resolve() in self._seen:   # links may lead in circles
            return
        self._seen.add(folder.resolve())
        if (folder / METADATA).is_file() or storage_files(folder):
            self._try(folder, problems)
            return
        for path in sorted(folder.iterdir(), key=natural):
            if path.name.startswith('.'):
                continue
            if path.is_dir():
                self._below(path, problems)
            elif path.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES) \
                    or storage_files(path):
                self._try(path, problems)

    def _try(self, path: Path, problems: list[InvalidInputError]) -> None:
        try:
            self.found += _of(path, self._topics)
        except InvalidInputError as error:
            problems.append(error)


def _of(path: Path, topics: Sequence[str]) -> list[Input]:
    """Make the inputs of a file, or of a folder that is a bag."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return [StillInput(path)]
    if path.is_dir() or storage_files(path):
        with Bag(path) as bag:
            return [BagInput(path, t.name) for t in picture_topics(bag, topics)]
    check_video(path)
    return [VideoInput(path)]


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
