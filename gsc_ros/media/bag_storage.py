"""The storage files of a rosbag2 bag: whole ones, and what can be read of damaged ones."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
import logging
from pathlib import Path
import shutil
import sqlite3
import tempfile
from typing import Any, Protocol

from gsc_ros.media.mcap_scan import McapChannel, McapScan

ZSTD_SUFFIX = '.zstd'
STORAGE_SUFFIXES = ('.mcap', '.db3')
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
UNKNOWN_COUNT = -1      # of messages, where nobody has counted them
_MOST_SKIPPED = 2 ** 20   # rows of a table after which nothing more is expected

_log = logging.getLogger(__name__)

# Number of the connection, nanoseconds, CDR
Found = tuple[int, int, bytes]


class StoragePart(Protocol):
    """One storage file, open; ``problem`` says what of it is missing, once it was read."""

    connections: list[Any]    # of rosbags
    problem: str

    def messages(self, numbers: Sequence[int]) -> Iterator[Found]:
        """Messages of some connections, as far as they can be read; none: no message."""
        ...


def open_part(file: Path, stack: ExitStack) -> StoragePart:
    """
    Open a storage file.

    :param stack: closes it.
    :raises Exception: if nothing of it can be read; rosbags and SQLite share no base class.
    """
    if file.suffix == ZSTD_SUFFIX:
        file = _unpacked(file, stack)
    try:
        return _Whole(file, stack)
    except Exception as error:   # as above
        _log.debug('%s: %s', file, error)
        return _ScannedMcap(file) if file.suffix == '.mcap' else _CutSqlite(file, stack,
                                                                           _said(error))


def _said(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


def _unpacked(file: Path, stack: ExitStack) -> Path:
    """Unpack a file that was compressed as a whole."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    target = Path(folder, file.stem)
    with _zstd().open(file, 'rb') as packed, target.open('wb') as out:
        shutil.copyfileobj(packed, out)
    return target


def _plain(data: bytes) -> bytes:
    """Unpack a message that was compressed by itself: CDR begins with 0."""
    if data[:4] != _ZSTD_MAGIC:
        return data
    return bytes(_zstd().decompress(data))


def _zstd() -> Any:
    """Return the module that rosbags uses: which one depends on the Python."""
    from rosbags.rosbag2 import reader
    return reader.zstd  # type: ignore[attr-defined]


class _Whole:
    """A file that rosbags reads; where it breaks off, the rest is taken without its index."""

    def __init__(self, file: Path, stack: ExitStack) -> None:
        from rosbags.rosbag2 import Reader
        self._file, self._stack, self.problem = file, stack, ''
        self._reader: Any = stack.enter_context(Reader(file))
        self.connections: list[Any] = list(self._reader.connections)

    def messages(self, numbers: Sequence[int]) -> Iterator[Found]:
        """Messages in the order of their times."""
        wanted = [c for c in self.connections if c.id in numbers]
        last_ns = -1
        try:
            for connection, last_ns, data in self._reader.messages(wanted) if wanted else ():
                yield connection.id, last_ns, _plain(bytes(data))
        except Exception as error:   # as above
            self.problem = _said(error)
            yield from self._rest(numbers, last_ns)

    def _rest(self, numbers: Sequence[int], last_ns: int) -> Iterator[Found]:
        """Messages after a time, found by going through the file."""
        part: StoragePart = _ScannedMcap(self._file) if self._file.suffix == '.mcap' else \
            _CutSqlite(self._file, self._stack, self.problem)
        for found in part.messages(numbers):
            if found[1] > last_ns:
                yield found


class _ScannedMcap:
    """An MCAP file without its end, or with channels that are not ROS 2's."""

    def __init__(self, path: Path) -> None:
        self._scan = McapScan(path)
        self.connections: list[Any] = [_connection(c) for c in self._scan.channels.values()]
        self.problem = self._scan.problem

    def messages(self, numbers: Sequence[int]) -> Iterator[Found]:
        """Messages chunk by chunk."""
        for number, time_ns, data in self._scan.messages(numbers) if numbers else ():
            yield number, time_ns, _plain(data)
        self.problem = self._scan.problem


def _connection(channel: McapChannel) -> Any:
    """Make what rosbags makes of a channel."""
    from rosbags.interfaces import (
        Connection,
        ConnectionExtRosbag2,
        MessageDefinition,
        MessageDefinitionFormat,
    )
    from rosbags.rosbag2.metadata import parse_qos
    language, text = channel.definition
    form = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}.get(
        language, MessageDefinitionFormat.NONE)
    try:
        qos = parse_qos(channel.qos)
    except Exception:   # a text that is no YAML; without QoS a topic is still a topic
        qos = []
    return Connection(channel.number, channel.topic, channel.kind, MessageDefinition(form, text),
                      '', UNKNOWN_COUNT, ConnectionExtRosbag2(channel.encoding, qos), None)


class _CutSqlite:
    """What can be read of a SQLite file with missing or damaged pages."""

    def __init__(self, path: Path, stack: ExitStack, problem: str) -> None:
        self.problem = problem
        self._database = sqlite3.connect(f'file:{path.resolve()}?mode=ro&immutable=1', uri=True)
        stack.callback(self._database.close)
        self.connections: list[Any] = []
        try:
            # Without this SQLite refuses a file with fewer pages than its header says.
            self._database.execute('PRAGMA writable_schema = ON')
            for number, name, kind, encoding in self._database.execute(
                    'SELECT id, name, type, serialization_format FROM topics'):
                self.connections.append(_connection(
                    McapChannel(number, name, kind, encoding, ('', ''), '')))
        except sqlite3.DatabaseError as error:   # the caller says that the bag is damaged
            _log.debug('%s: %s', path, error)

    def messages(self, numbers: Sequence[int]) -> Iterator[Found]:
        """Messages in the order of writing: the index on time may lie in what is missing."""
        last, step = 0, 1
        while step <= _MOST_SKIPPED:
            try:
                for row, number, time_ns, data in self._database.execute(
                        'SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? '
                        'ORDER BY id', (last,)):
                    last, step = row, 1
                    if number in numbers:
                        yield number, time_ns, _plain(data)
                return
            except sqlite3.DatabaseError as error:
                self.problem = self.problem or str(error)
                last, step = last + step, 2 * step   # behind the damaged page
