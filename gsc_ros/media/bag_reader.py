"""
Messages of a rosbag2 bag, also of one that a crash or a full disk cut short.

Pictures are read with the layouts of ROS 2 Jazzy, not with the definitions in the bag: these may
be missing or damaged, and the sensor_msgs types have not changed since ROS 2 began.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
import logging
from pathlib import Path
import sqlite3
import struct
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.bag_types import COMPRESSED, IMAGE, message_types
import numpy as np

BAG_SUFFIXES = ('.mcap', '.db3')
_CURE = 'copy the bag again, or repair it with "ros2 bag reindex", "mcap recover" or ' \
        '"sqlite3 FILE .recover"'

_log = logging.getLogger(__name__)


class DamagedBagError(InvalidInputError):
    """A bag ends before it should; what could be read was delivered before."""

    def __init__(self, path: Path, messages: int, reason: str) -> None:
        super().__init__(f'bag {path}', f'damaged after {messages} readable messages ({reason})',
                         f'whole bags: {_CURE}')


@dataclass(frozen=True)
class Topic:
    """A topic of a bag; ``count`` is None where the bag does not say."""

    name: str
    kind: str
    count: int | None
    connection: Any = None    # of rosbags: definition, hash, QoS


@dataclass(frozen=True)
class Message:
    """A message as it lies in the bag: ``data`` is CDR, ``time_ns`` when it was recorded."""

    topic: Topic
    time_ns: int
    data: bytes


class Bag:
    """
    An open bag; use as a context manager.

    :raises InvalidInputError: on opening, if nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: list[Topic] = []
        self._stack = ExitStack()
        self._read: Callable[[list[Topic]], Iterator[Message]] = self._from_reader
        self._reader: Any = None
        self._damage = ''

    def __enter__(self) -> Bag:
        """Open the bag, or what is left of it."""
        from rosbags.rosbag2 import Reader
        try:
            self._reader = self._stack.enter_context(Reader(self.path))
        except Exception as error:   # rosbags, zstd, lz4 and SQLite share no base class
            self._salvage(str(error) or type(error).__name__)
        else:
            self.topics = [Topic(c.topic, c.msgtype, c.msgcount, c)
                           for c in self._reader.connections]
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._stack.close()

    def messages(self, names: Iterable[str]) -> Iterator[Message]:
        """
        Messages of the named topics in the order of their times.

        :raises DamagedBagError: after the last readable one, if the bag is damaged.
        """
        names = set(names)
        wanted = [topic for topic in self.topics if topic.name in names]
        count = 0
        damage = self._damage
        try:
            for message in self._read(wanted):
                count += 1
                yield message
        except Exception as error:   # as above
            damage = damage or str(error) or type(error).__name__
        if damage:
            raise DamagedBagError(self.path, count, damage)

    def _from_reader(self, wanted: list[Topic]) -> Iterator[Message]:
        known = {id(t.connection): t for t in wanted}
        if known:
            for connection, time_ns, data in self._reader.messages(
                    [t.connection for t in wanted]):
                topic = known.get(id(connection)) or next(
                    t for t in wanted if t.name == connection.topic)
                yield Message(topic, time_ns, bytes(data))

    def _salvage(self, reason: str) -> None:
        """Read the storage files from their beginning, without index and metadata."""
        files = sorted(p for p in self.path.iterdir() if p.suffix in BAG_SUFFIXES) \
            if self.path.is_dir() else [self.path]
        parts = []
        for file in files:
            part = (_CutMcap if file.suffix == '.mcap' else _CutSqlite)(file)
            self._stack.callback(part.close)
            parts.append(part)
            self.topics += [t for t in part.topics if t.name not in {k.name for k in self.topics}]
        if not self.topics:
            raise InvalidInputError('bag', self.path, f'a readable rosbag2 bag: {reason}; {_CURE}')
        self._damage = reason
        self._read = lambda wanted: (m for part in parts for m in part.messages(wanted))


class _CutMcap:
    """What can be read of an MCAP file without its end."""

    def __init__(self, path: Path) -> None:
        from rosbags.rosbag2.storage_mcap import McapReader
        self._reader = McapReader(path)
        self._reader.bio = path.open('rb')
        self._reader.bio.seek(8)            # magic
        try:
            head = self._reader.bio.read(9)   # the header record: opcode and length
            self._reader.data_start = 17 + struct.unpack('<xQ', head)[0]
            self._reader.data_end = path.stat().st_size
            self._reader.meta_scan()        # finds the topics before it meets the end
        except Exception as error:   # as above; the caller says that the bag is damaged
            _log.debug('%s: %s', path, error)
        self.topics = [Topic(c.topic, c.msgtype, None, c) for c in self._reader.connections]

    def messages(self, wanted: list[Topic]) -> Iterator[Message]:
        names = {t.name: t for t in wanted}
        connections = [c for c in self._reader.connections if c.topic in names]
        for connection, time_ns, data in self._reader.messages_scan(connections):
            yield Message(names[connection.topic], time_ns, bytes(data))

    def close(self) -> None:
        self._reader.close()


class _CutSqlite:
    """What can be read of a SQLite file whose end is missing."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f'file:{path}?mode=ro&immutable=1', uri=True)
        self.topics: list[Topic] = []
        self._ids: dict[int, str] = {}
        try:
            # Without this SQLite refuses a file with fewer pages than its header says.
            self._connection.execute('PRAGMA writable_schema = ON')
            for number, name, kind in self._connection.execute(
                    'SELECT id, name, type FROM topics'):
                self.topics.append(Topic(name, kind, None))
                self._ids[number] = name
        except sqlite3.DatabaseError as error:   # the caller says that the bag is damaged
            _log.debug('%s: %s', path, error)

    def messages(self, wanted: list[Topic]) -> Iterator[Message]:
        names = {t.name: t for t in wanted}
        # In the order of writing: the index on time may lie in the part that is missing.
        for number, time_ns, data in self._connection.execute(
                'SELECT topic_id, timestamp, data FROM messages'):
            if self._ids.get(number) in names:
                yield Message(names[self._ids[number]], time_ns, data)

    def close(self) -> None:
        self._connection.close()


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
    Topics with pictures, one for each camera: its raw one where both are there.

    :param wanted: only these topics; none: all.
    :raises InvalidInputError: if one is not there, or none is a picture topic.
    """
    images = {t.name: t for t in bag.topics if t.kind in (IMAGE, COMPRESSED)
              and not t.name.endswith('compressedDepth')}
    missing = sorted(set(wanted) - set(images))
    if missing:
        raise InvalidInputError(f'topics of {bag.path}', missing, f'among {sorted(images)}')
    if wanted:
        return [images[name] for name in wanted]
    if not images:
        has = ', '.join(sorted(f'{t.name} ({t.kind})' for t in bag.topics)) or 'nothing'
        raise InvalidInputError(f'bag {bag.path}', f'without picture topics; it has {has}',
                                f'a bag with {IMAGE} or {COMPRESSED}')
    return [t for name, t in sorted(images.items())
            if not (t.kind == COMPRESSED and name.removesuffix('/compressed') in images
                    and name.endswith('/compressed'))]
