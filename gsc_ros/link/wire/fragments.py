"""Cutting blobs into fragments that fit the link, and joining them again in bounded memory."""
from __future__ import annotations

from dataclasses import dataclass, field

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire import fec
from gsc_ros.link.wire.blobs import MAX_BLOB
from gsc_ros.link.wire.datagrams import Fragment, Kind, LinkError
from gsc_ros.units import SECOND_NS

# Closes a blob that is cut into equal fragments; zeros fill up the last one.
_END = 0x80
# A fragment follows the one before within this time, or its picture is given up.
MAX_AGE_NS = 30 * SECOND_NS
MAX_GROUPS_PER_STREAM = 4
MAX_GROUPS = 256
MAX_BYTES = 1 << 20


def fragment_count(length: int, room: int) -> int:
    """Return how many fragments with ``room`` bytes a blob of ``length`` bytes takes."""
    return -(-(length + 1) // room)


def split(blob: bytes, room: int, group: int, parity: int) -> list[tuple[Fragment, bytes]]:
    """
    Cut a blob into equal fragments of at most ``room`` bytes, parity last.

    :raises InvalidInputError: for a blob that takes more than 255 fragments in all.
    """
    count = fragment_count(len(blob), room)
    if count + parity > fec.MAX_FRAGMENTS:
        raise InvalidInputError('fragments', count + parity, f'at most {fec.MAX_FRAGMENTS}')
    size = -(-(len(blob) + 1) // count)
    padded = (blob + bytes([_END])).ljust(count * size, b'\0')
    blocks = [padded[start:start + size] for start in range(0, len(padded), size)]
    return [(Fragment(group, index, count), block)
            for index, block in enumerate(blocks + fec.encode(blocks, parity))]


@dataclass
class _Group:
    count: int
    size: int
    inside: bool
    seen_ns: int
    blocks: dict[int, bytes] = field(default_factory=dict)
    done: bool = False

    @property
    def reserved(self) -> int:
        return 0 if self.done else self.size * self.count


class Reassembly:
    """Joins fragments that come late, twice, in any order or not at all."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._groups: dict[tuple[Kind, int, int], _Group] = {}  # oldest first
        self._parity = fec.available()
        self.given_up = 0  # groups dropped before they were whole
        self.rebuilt = 0   # blobs that needed parity

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def held(self) -> int:
        """Bytes that all that was begun will take; never above MAX_BYTES."""
        return sum(group.reserved for group in self._groups.values())

    def clear(self) -> None:
        """Forget everything: what comes next is of another run of the robot."""
        for key in list(self._groups):
            self._drop(key)

    def expire(self, now_ns: int) -> None:
        """Give up what has waited too long for its next fragment."""
        for key, group in list(self._groups.items()):
            if now_ns - group.seen_ns > MAX_AGE_NS:
                self._drop(key)

    def add(self, kind: Kind, stream_id: int, fragment: Fragment, payload: bytes, *,
            inside: bool, now_ns: int) -> bytes | None:
        """Return the whole blob when this fragment completes it; LinkError for a bad one."""
        if fragment.count * len(payload) > MAX_BLOB + fragment.count:
            raise LinkError('picture length', fragment.count * len(payload),
                            f'at most {MAX_BLOB}')
        key = (kind, stream_id, fragment.group)
        group = self._groups.get(key)
        if group is None or (group.count, group.size, group.inside) != (
                fragment.count, len(payload), inside):
            group = self._start(key, _Group(fragment.count, len(payload), inside, now_ns))
        group.seen_ns = now_ns
        if group.done or (fragment.index >= fragment.count and not self._parity):
            return None
        group.blocks[fragment.index] = payload
        if len(group.blocks) < group.count:
            return None
        return self._join(group)

    def _join(self, group: _Group) -> bytes:
        blocks, group.blocks, group.done = group.blocks, {}, True
        self.rebuilt += any(index >= group.count for index in blocks)
        blob = b''.join(fec.decode(blocks, group.count)).rstrip(b'\0')
        if not blob or blob[-1] != _END:
            raise LinkError('end of fragments', blob[-1:].hex(), f'{_END:02x}')
        return blob[:-1]

    def _start(self, key: tuple[Kind, int, int], group: _Group) -> _Group:
        if key in self._groups:
            self._drop(key)
        self.expire(group.seen_ns)
        same = [other for other in self._groups if other[:2] == key[:2]]
        if len(same) >= MAX_GROUPS_PER_STREAM:
            self._drop(same[0])
        largest = group.count * group.size
        while self._groups and (len(self._groups) >= MAX_GROUPS
                                or self.held + largest > MAX_BYTES):
            self._drop(next(iter(self._groups)))
        self._groups[key] = group
        return group

    def _drop(self, key: tuple[Kind, int, int]) -> None:
        self.given_up += not self._groups.pop(key).done
