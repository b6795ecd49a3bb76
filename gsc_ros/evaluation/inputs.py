"""What is evaluated: pictures, videos and the cameras of bags, all as sequences of shots."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.bag_reader import Bag, header_stamp_ns, read_picture_message
from gsc_ros.media.files import decode_picture, read_picture
from gsc_ros.media.sources import pictures_of
from gsc_ros.media.videos import frames, since_first, VideoFrame
from gsc_ros.units import SECOND_NS
import numpy as np

# Containers round their time stamps to a millisecond.
_ROUNDING_NS = 500_000
_HEADER_BYTES = 12   # of CDR and a stamp


@dataclass(frozen=True)
class Shot:
    """
    A source picture that is not decoded yet; small enough to be sent to another process.

    ``kind`` says what ``data`` is: 'file' (a Path, or the bytes in it), 'pixels' (an array
    (H, W, 3) uint8) or a message type (CDR bytes). ``time_ns`` counts from the start of the
    input; ``stamp_ns`` does so too, except that messages have that of their header and stills
    have none.
    """

    index: int
    stamp_ns: int | None
    time_ns: int
    kind: str
    data: Path | np.ndarray | bytes
    where: str    # for errors

    def read(self) -> np.ndarray:
        """
        Pixels, (H, W, 3) uint8.

        :raises InvalidInputError: if they cannot be decoded; names file, topic and number.
        """
        if isinstance(self.data, Path):
            return read_picture(self.data)
        if isinstance(self.data, np.ndarray):
            return self.data
        if self.kind == 'file':
            return decode_picture(self.data, self.where)
        try:
            return read_picture_message(self.data, self.kind)
        except InvalidInputError as error:
            raise InvalidInputError(f'{self.where}, picture {self.index}', error,
                                    'readable pictures; leave the topic out with --topics'
                                    ) from error

    @property
    def size(self) -> int:
        """Bytes of the picture in the source: a whole file, a message, or 24 bits a pixel."""
        if isinstance(self.data, Path):
            return self.data.stat().st_size
        return self.data.nbytes if isinstance(self.data, np.ndarray) else len(self.data)


@dataclass(frozen=True)
class ShotPace:
    """At most ``rate`` shots a second (None: all), of the first ``seconds`` (None: to the end)."""

    rate: float | None = None
    seconds: float | None = None


class _Thinner:
    """Says which times a pace leaves."""

    def __init__(self, pace: ShotPace) -> None:
        self._pace, self._due_ns = pace, 0.0

    def over(self, time_ns: int) -> bool:
        seconds = self._pace.seconds
        return seconds is not None and time_ns >= seconds * SECOND_NS

    def takes(self, time_ns: int) -> bool:
        if time_ns < self._due_ns - _ROUNDING_NS:
            return False
        if self._pace.rate is not None:
            self._due_ns = max(self._due_ns + SECOND_NS / self._pace.rate, time_ns)
        return True


class Input(Protocol):
    """One camera, video or still."""

    @property
    def name(self) -> str:
        """Return a name that no other input has: the ``input`` of its rows."""
        ...

    @property
    def dataset(self) -> str:
        """Return the ``set`` of its rows."""
        ...

    @property
    def stem(self) -> str:
        """Return what its label file is called after; empty for a stream."""
        ...

    @property
    def stream(self) -> bool:
        """Whether its pictures follow each other."""
        ...

    def shots(self, pace: ShotPace = ShotPace()) -> Iterator[Shot]:
        """Pictures in the order of their times; an error about the rest comes at the end."""
        ...


@dataclass(frozen=True)
class _FileInput:
    """A file; its set is the folder that it lies in."""

    path: Path

    @property
    def dataset(self) -> str:
        """Name of the folder."""
        return self.path.parent.resolve().name

    @property
    def name(self) -> str:
        """Folder and file."""
        return f'{self.dataset}/{self.path.name}'


@dataclass(frozen=True)
class StillInput(_FileInput):
    """A picture file."""

    stream = False

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        return self.path.stem

    def shots(self, pace: ShotPace = ShotPace()) -> Iterator[Shot]:
        """Only the picture itself."""
        yield Shot(0, None, 0, 'file', self.path, str(self.path))


@dataclass(frozen=True)
class FolderInput:
    """Pictures of a folder as one stream, in the order of their names."""

    paths: tuple[Path, ...]
    rate: float
    stream = True
    stem = ''

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.paths[0].parent.resolve().name

    dataset = name

    def shots(self, pace: ShotPace = ShotPace()) -> Iterator[Shot]:
        """Pictures at the given rate."""
        thinner = _Thinner(pace)
        for i, path in enumerate(self.paths):
            time_ns = round(i * SECOND_NS / self.rate)
            if thinner.over(time_ns):
                return
            if thinner.takes(time_ns):
                yield Shot(i, time_ns, time_ns, 'file', path, str(path))


@dataclass(frozen=True)
class VideoInput(_FileInput):
    """A video file."""

    stream = True
    stem = ''

    def shots(self, pace: ShotPace = ShotPace()) -> Iterator[Shot]:
        """Frames, decoded one after the other."""
        thinner = _Thinner(pace)
        first: VideoFrame | None = None
        for i, frame in enumerate(frames(self.path)):
            first = first or frame
            time_ns = since_first(frame.time_s, first.time_s)
            if thinner.over(time_ns):
                return
            if thinner.takes(time_ns):
                yield Shot(i, time_ns, time_ns, 'pixels', frame.read(), str(self.path))


@dataclass(frozen=True)
class BagInput:
    """The pictures of one topic of a bag."""

    path: Path
    topic: str
    stream = True
    stem = ''

    @property
    def dataset(self) -> str:
        """Name of the bag and topic."""
        stem = self.path.name if self.path.is_dir() else self.path.stem
        return f'{stem}{self.topic}'

    name = dataset

    def shots(self, pace: ShotPace = ShotPace()) -> Iterator[Shot]:
        """Messages as they are; pixels are decoded by who needs them."""
        thinner = _Thinner(pace)
        with Bag(self.path) as bag:
            first: int | None = None
            for i, message in enumerate(bag.messages(pictures_of(bag, self.topic))):
                first = message.time_ns if first is None else first
                time_ns = message.time_ns - first
                if thinner.over(time_ns):
                    return
                if thinner.takes(time_ns):
                    stamp = _stamp_ns(message.data) or message.time_ns
                    yield Shot(i, stamp, time_ns, message.topic.kind, message.data,
                               f'{self.path} topic {self.topic}')


def _stamp_ns(data: bytes) -> int:
    """Stamp of a message; 0 for one that is too short to have one."""
    return header_stamp_ns(data) if len(data) >= _HEADER_BYTES else 0
