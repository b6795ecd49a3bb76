"""
Messages of a rosbag2 bag, also of one that a crash or a full disk cut short.

A bag is its storage files: metadata.yaml is looked into for what is in no file (which files there
should be, type hashes), so a bag without it, or with one of a newer ROS, is read all the same.
Pictures are read with the layouts of ROS 2 Jazzy, not with the definitions in the bag: these may
be missing or damaged, and the sensor_msgs types have not changed since ROS 2 began.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
import logging
from pathlib import Path
import re
import struct
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.bag_storage import (
    open_part,
    STORAGE_SUFFIXES,
    StoragePart,
    UNKNOWN_COUNT,
    ZSTD_SUFFIX,
)
from gsc_ros.media.bag_types import COMPRESSED, IMAGE, message_types
from gsc_ros.media.encodings import compressed_format, encoding_of
from gsc_ros.media.files import PICTURE_SUFFIXES
from gsc_ros.media.videos import VIDEO_SUFFIXES
import numpy as np
import yaml

BAG_SUFFIXES = STORAGE_SUFFIXES
METADATA = 'metadata.yaml'
CDR = 'cdr'
_CURE = 'copy the bag again, or repair it with "ros2 bag reindex", "mcap recover" or ' \
        '"sqlite3 FILE .recover"'
_SPLIT = re.compile(r'(.*)_(\d+)')

_log = logging.getLogger(__name__)


class DamagedBagError(InvalidInputError):
    """A bag lacks a part; what could be read was delivered before."""

    def __init__(self, path: Path, messages: int, reason: str) -> None:
        super().__init__(f'bag {path}', f'damaged after {messages} readable messages ({reason})',
                         f'whole bags: {_CURE}')


@dataclass(frozen=True)
class Topic:
    """
    A topic of a bag with messages of one type; another type on it makes another ``Topic``.

    ``count`` is None where the bag does not say, ``encoding`` cdr for everything that ROS 2 wrote.
    """

    name: str
    kind: str
    count: int | None
    connection: Any = field(default=None, compare=False)   # of rosbags: definition, hash, QoS
    encoding: str = CDR

    @property
    def shows_pictures(self) -> bool:
        """Whether its type and encoding are those of pictures."""
        return self.kind in (IMAGE, COMPRESSED) and self.encoding == CDR


@dataclass(frozen=True)
class Message:
    """A message as it lies in the bag: ``data`` is CDR, ``time_ns`` when it was recorded."""

    topic: Topic
    time_ns: int
    data: bytes


def storage_files(path: Path) -> list[Path]:
    """
    Storage files of a bag in the order of their numbers; none if the path is no bag.

    A folder is a bag if it has a metadata.yaml, or if all its storage files are parts of one
    recording (``drive_0.mcap``, ``drive_1.mcap``) and it has neither pictures nor videos.
    """
    if not path.is_dir():
        return [path] if _is_storage(path) else []
    files = sorted((p for p in path.iterdir() if _is_storage(p)), key=_split)
    if (path / METADATA).is_file():
        named = [path / Path(str(name)).name for name in _metadata(path).get(
            'relative_file_paths') or ()]
        return [file for file in named if file.is_file()] or files
    others = any(p.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES) for p in path.iterdir())
    return files if len({_split(file)[0] for file in files}) == 1 and not others else []


def _is_storage(file: Path) -> bool:
    name = file.name.removesuffix(ZSTD_SUFFIX)
    return Path(name).suffix.lower() in STORAGE_SUFFIXES and not name.startswith('.')


def _split(file: Path) -> tuple[str, int]:
    """Split a file's name into that of the recording and the number of the part."""
    name = file.name.removesuffix(ZSTD_SUFFIX)
    stem, suffix = Path(name).stem, Path(name).suffix
    found = _SPLIT.fullmatch(stem)
    return (found[1] + suffix, int(found[2])) if found else (stem + suffix, 0)


def _metadata(folder: Path) -> dict[str, Any]:
    """Read what a bag says of itself; empty where that cannot be read."""
    try:
        found = yaml.safe_load((folder / METADATA).read_text())['rosbag2_bagfile_information']
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        _log.debug('%s: %s', folder, error)
        return {}


class Bag:
    """
    An open bag; use as a context manager.

    :raises InvalidInputError: on opening, if nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path) if isinstance(path, str) else path
        self.topics: list[Topic] = []
        self._stack = ExitStack()
        self._parts: list[tuple[StoragePart, dict[int, Topic]]] = []
        self._missing = ''

    def __enter__(self) -> Bag:
        """Open the bag, or what is left of it."""
        if not isinstance(self.path, Path):
            raise InvalidInputError('bag', self.path, 'a path')
        try:
            parts = self._open()
            hashes = self._look_into_metadata()
        except BaseException:
            self._stack.close()
            raise
        known: dict[tuple[str, str, str], Topic] = {}
        for part in parts:
            for one in part.connections:
                key = one.topic, one.msgtype, one.ext.serialization_format
                known[key] = _joined(known.get(key), one, hashes.get(one.topic, ''))
        self.topics = list(known.values())
        self._parts = [(part, {c.id: known[c.topic, c.msgtype, c.ext.serialization_format]
                               for c in part.connections}) for part in parts]
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._stack.close()

    def _open(self) -> list[StoragePart]:
        parts, reason = [], 'it has no storage file (.mcap, .db3)'
        for file in storage_files(self.path):
            try:
                parts.append(open_part(file, self._stack))
                reason = parts[-1].problem or 'it has no topics'
            except Exception as error:   # rosbags, zstd, lz4 and SQLite share no base class
                reason = self._missing = f'{file.name}: {error}'
        if not any(part.connections for part in parts) and not self._is_empty(parts):
            raise InvalidInputError('bag', self.path, f'a readable rosbag2 bag: {reason}; {_CURE}')
        return parts

    def _is_empty(self, parts: list[StoragePart]) -> bool:
        """Whether it is a sound bag of nothing."""
        return bool(parts) and not self._missing and not any(part.problem for part in parts)

    def _look_into_metadata(self) -> dict[str, str]:
        """Note files that are not there; return the type hash of each topic."""
        metadata = _metadata(self.path) if self.path.is_dir() else {}
        names = [Path(str(name)).name for name in metadata.get('relative_file_paths') or ()]
        lost = [name for name in names if not (self.path / name).is_file()]
        if lost:
            self._missing = f'{", ".join(lost)} is missing'
        topics = [t.get('topic_metadata') for t in metadata.get('topics_with_message_count') or ()
                  if isinstance(t, dict)]
        return {str(t.get('name')): str(t.get('type_description_hash') or '')
                for t in topics if isinstance(t, dict)}

    def messages(self, wanted: Iterable[str | Topic]) -> Iterator[Message]:
        """
        Messages of some topics in the order of their times.

        :param wanted: topics, or names of topics, which stand for all types there.
        :raises DamagedBagError: after the last readable one, if the bag is damaged.
        """
        chosen = set(wanted)
        count, damage = 0, self._missing
        for part, topics in self._parts:
            numbers = [n for n, topic in topics.items() if {topic, topic.name} & chosen]
            for number, time_ns, data in part.messages(numbers):
                count += 1
                yield Message(topics[number], time_ns, data)
            damage = damage or part.problem
        if damage:
            raise DamagedBagError(self.path, count, damage)


def _joined(known: Topic | None, found: Any, digest: str) -> Topic:
    """Add a connection of one file to the topic that all files have."""
    count = None if found.msgcount == UNKNOWN_COUNT else found.msgcount
    if known is not None:
        count = None if count is None or known.count is None else known.count + count
        found = known.connection
    return Topic(found.topic, found.msgtype, count,
                 found._replace(digest=found.digest or digest), found.ext.serialization_format)


def header_stamp_ns(cdr: bytes) -> int:
    """Stamp of a message that begins with a std_msgs/Header; 0 if it was never set."""
    endian = '<' if cdr[1] & 1 else '>'
    seconds, nanoseconds = struct.unpack_from(f'{endian}iI', cdr, 4)
    return int(seconds) * 10 ** 9 + int(nanoseconds)


def read_message(cdr: bytes, kind: str) -> Any:
    """
    Deserialize a message.

    :raises InvalidInputError: if the data are no such message.
    """
    try:
        return message_types().deserialize_cdr(cdr, kind)
    except Exception as error:   # of damaged data: a struct's, an index's, an assertion's
        raise InvalidInputError('message', f'{len(cdr)} bytes', f'a {kind} ({error})') from error


def read_picture_message(cdr: bytes, kind: str) -> np.ndarray:
    """
    Pixels (H, W, 3) uint8 of a serialized Image or CompressedImage.

    :raises InvalidInputError: if the encoding is none of ours or the data are damaged.
    """
    from gsc_ros.media.images import picture_from_compressed, picture_from_image
    message = read_message(cdr, kind)
    return picture_from_image(message) if kind == IMAGE else picture_from_compressed(message)


def picture_topics(bag: Bag, wanted: Iterable[str] = ()) -> list[Topic]:
    """
    Topics whose pictures can be used, one for each camera: its raw one where both are there.

    Depth, unknown encodings and topics without messages are left out, with a word in the log.

    :param wanted: only these topics; none: all.
    :raises InvalidInputError: if one is not there or cannot be used, or none is a picture topic.
    """
    images = [t for t in bag.topics if t.shows_pictures]
    wanted = list(wanted)
    missing = sorted(set(wanted) - {t.name for t in images})
    if missing:
        raise InvalidInputError(f'topics of {bag.path}', missing,
                                f'among {sorted({t.name for t in images})}')
    if not images:
        has = ', '.join(sorted(f'{t.name} ({t.kind})' for t in bag.topics)) or 'nothing'
        raise InvalidInputError(f'bag {bag.path}', f'without picture topics; it has {has}',
                                f'a bag with {IMAGE} or {COMPRESSED}')
    if wanted:
        images = [t for name in wanted for t in images if t.name == name]
    unusable = {t: reason for t in images if (reason := _why_unusable(bag, t))}
    usable = [t for t in images if t not in unusable]
    if not usable or wanted and {t.name for t in usable} != set(wanted):
        said = '; '.join(f'{t.name}: {reason}' for t, reason in unusable.items())
        raise InvalidInputError(f'bag {bag.path}', f'without pictures that can be used ({said})',
                                'another bag, or other --topics')
    for topic, reason in unusable.items():
        _log.warning('%s: left out %s: %s', bag.path, topic.name, reason)
    return usable if wanted else _one_a_camera(usable)


def _one_a_camera(topics: list[Topic]) -> list[Topic]:
    """Leave compressed topics out whose raw pictures are there, and second types of a topic."""
    raw = {t.name for t in topics if t.kind == IMAGE}
    chosen: dict[str, Topic] = {}
    for topic in sorted(topics, key=lambda t: (t.name, t.kind != IMAGE)):
        camera = topic.name.removesuffix('/compressed')
        if topic.kind == IMAGE or camera == topic.name or camera not in raw:
            chosen.setdefault(topic.name, topic)
    return list(chosen.values())


def _why_unusable(bag: Bag, topic: Topic) -> str:
    """Say why a topic has no pictures for us, by its first message; empty if it has."""
    if topic.count == 0:
        return 'it has no messages'
    if topic.name.endswith('/compressedDepth'):
        return 'it is depth'
    try:
        first = next(bag.messages([topic]), None)
    except DamagedBagError:
        first = None
    if first is None:
        return 'it has no messages'
    try:
        message = read_message(first.data, topic.kind)
    except InvalidInputError:
        return ''   # one bad message does not speak for the topic
    try:
        if topic.kind == IMAGE:
            encoding_of(message.encoding)
        else:
            compressed_format(message.format)
    except InvalidInputError as error:
        return str(error)
    return ''
