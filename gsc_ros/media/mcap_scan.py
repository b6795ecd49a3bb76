"""
Reads MCAP files that rosbags does not: cut ones, and those with channels that are not ROS 2's.

Record by record from the beginning (https://mcap.dev/spec), without the index at the end. A chunk
that is damaged is left out and said; the ones behind it are read.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
import io
from pathlib import Path
import struct
from typing import BinaryIO
import zlib

MAGIC = b'\x89MCAP0\r\n'
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 1, 2, 3, 4, 5, 6, 15
_MAX_RECORD = 2 ** 31   # of pictures; a damaged length may say anything
_MAX_CHUNK = 2 ** 30    # uncompressed


@dataclass(frozen=True)
class McapChannel:
    """A topic as the file declares it; ``encoding`` is cdr in ROS 2."""

    number: int
    topic: str
    kind: str
    encoding: str
    definition: tuple[str, str]   # its language and text
    qos: str


@dataclass
class McapScan:
    """
    One pass over a file finds channels and damage, each further one gives messages.

    ``problem`` says what is missing, '' if the file is whole.
    """

    path: Path
    channels: dict[int, McapChannel] = field(default_factory=dict)
    problem: str = ''
    _schemas: dict[int, tuple[str, str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """
        Look through the file.

        :raises ValueError: if it is no MCAP file.
        """
        with self.path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError('no MCAP file')
        for _ in self.messages(()):
            pass

    def messages(self, numbers: Sequence[int]) -> Iterator[tuple[int, int, bytes]]:
        """Channel number, log time and data of the messages of some channels, in file order."""
        self.problem = ''
        with self.path.open('rb') as file:
            file.seek(len(MAGIC))
            ended = False
            for code, body in self._records(file):
                ended = ended or code in (_DATA_END, _FOOTER)
                if code == _CHUNK:
                    yield from sorted(self._chunk(body, numbers), key=lambda found: found[1])
                else:
                    yield from self._record(code, body, numbers)
            if not ended:
                self.problem = self.problem or 'its end is missing'

    def _records(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        while head := file.read(9):
            code, size = struct.unpack('<BQ', head) if len(head) == 9 else (0, _MAX_RECORD + 1)
            if size > _MAX_RECORD:
                self.problem = f'no record at byte {file.tell() - len(head)}'
                return
            body = file.read(size)
            if len(body) < size:
                self.problem = 'its last record is cut'
                return
            yield code, body
            if code == _FOOTER:
                return

    def _chunk(self, body: bytes, numbers: Sequence[int]) -> Iterator[tuple[int, int, bytes]]:
        try:
            inside = io.BytesIO(_unpacked(body))
        except Exception as error:   # zstd and lz4 share no base class
            self.problem = f'a damaged chunk ({error})'
            return
        for code, record in self._records(inside):
            yield from self._record(code, record, numbers)

    def _record(self, code: int, body: bytes, numbers: Sequence[int]
                ) -> Iterator[tuple[int, int, bytes]]:
        try:
            if code == _SCHEMA:
                number, = struct.unpack_from('<H', body)
                name, rest = _text(body[2:])
                language, rest = _text(rest)
                self._schemas[number] = name, language, _text(rest)[0]
            elif code == _CHANNEL:
                self._channel(body)
            elif code == _MESSAGE and numbers:
                number, _, time_ns = struct.unpack_from('<HIQ', body)
                if number in numbers:
                    yield number, time_ns, body[22:]
        except (struct.error, UnicodeDecodeError) as error:
            self.problem = f'a damaged record ({error})'

    def _channel(self, body: bytes) -> None:
        number, schema = struct.unpack_from('<HH', body)
        topic, rest = _text(body[4:])
        encoding, rest = _text(rest)
        name, language, text = self._schemas.get(schema, ('', '', ''))
        qos = _pairs(rest).get('offered_qos_profiles', '')
        self.channels.setdefault(
            number, McapChannel(number, topic, name, encoding, (language, text), qos))


def _text(data: bytes) -> tuple[str, bytes]:
    """Split a text with its length before it off."""
    size, = struct.unpack_from('<I', data)
    if size > len(data) - 4:
        raise struct.error('a text is cut')
    return data[4:4 + size].decode(), data[4 + size:]


def _pairs(data: bytes) -> dict[str, str]:
    size, = struct.unpack_from('<I', data)
    rest, found = data[4:4 + size], {}
    while rest:
        key, rest = _text(rest)
        found[key], rest = _text(rest)
    return found


def _unpacked(body: bytes) -> bytes:
    """Unpack and check the records of a chunk."""
    _, _, size, crc = struct.unpack_from('<QQQI', body)
    packing, rest = _text(body[28:])
    if size > _MAX_CHUNK:
        raise ValueError(f'{size} bytes')
    data = _unpack(packing, rest[8:8 + struct.unpack_from('<Q', rest)[0]])
    if len(data) != size or crc and zlib.crc32(data) != crc:
        raise ValueError('its checksum differs')
    return data


def _unpack(packing: str, data: bytes) -> bytes:
    from rosbags.rosbag2 import storage_mcap
    if packing not in storage_mcap.DECOMPRESSORS:
        raise ValueError(f'packed as {packing!r}')
    return bytes(storage_mcap.DECOMPRESSORS[packing](data, 0))
