"""Matches what belongs to one picture by its stamp and writes it to a folder, a line each."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path
from typing import Any

import cv2
from gsc_ros.codec.bitstream import HEADER_BYTES, Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.codec.objects import decode_objects, SceneObject
import numpy as np

CAMERA, PLAIN, DECODED = VIEWS = ('camera', 'plain', 'decoded')
SENT, RECEIVED, DIAGNOSTICS = 'sent', 'received', 'diagnostics'
EVENTS_FILE, PICTURES_FILE, PICTURES_FOLDER = 'events.jsonl', 'pictures.jsonl', 'pictures'
_MEGABYTE = 10 ** 6

ReadPicture = Callable[[], np.ndarray]


@dataclass
class Entry:
    """Everything known of one picture; times in nanoseconds of the recorder's clock."""

    stamp_ns: int
    data: bytes | None = None            # the packet, once received
    sent_ns: int | None = None
    received_ns: int | None = None
    decoded_ns: int | None = None
    touched_ns: int | None = None        # when the last decoded view has arrived
    pictures: dict[str, ReadPicture] = field(default_factory=dict)
    detections: dict[str, list[SceneObject]] = field(default_factory=dict)

    def complete(self, detections: bool) -> bool:
        """Whether nothing more is to come."""
        return len(self.pictures) == len(VIEWS) and (
            not detections or len(self.detections) == len(VIEWS))


@dataclass(frozen=True)
class Limits:
    """How long and how much to wait for; see the recorder's parameters of the same names."""

    patience_ns: int = 4_000_000_000
    pending: int = 24
    memory_bytes: int = 100 * _MEGABYTE
    detections: bool = True


class Recording:
    """Takes events in any order; ``advance`` writes what is complete or has waited long enough."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """
        Make the folder; lines are added to files that are there.

        :raises InvalidInputError: if the folder cannot be made.
        """
        self.written = 0
        self._folder, self._limits = folder, limits
        self._ring: OrderedDict[int, tuple[int, ReadPicture]] = OrderedDict()
        self._ring_bytes = 0
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        try:
            (folder / PICTURES_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInputError('folder', folder, f'a folder to write to ({error})') from error
        self._events = (folder / EVENTS_FILE).open('a', buffering=1)
        self._lines = (folder / PICTURES_FILE).open('a', buffering=1)

    def camera(self, stamp_ns: int, size: int, read: ReadPicture) -> None:
        """Keep a camera picture of ``size`` bytes until its packet is seen or room is needed."""
        entry = self._entries.get(stamp_ns)
        if entry is not None:
            entry.pictures.setdefault(CAMERA, read)
            return
        self._ring[stamp_ns] = size, read
        self._ring_bytes += size
        while self._ring_bytes > self._limits.memory_bytes and len(self._ring) > 1:
            self._ring_bytes -= self._ring.popitem(last=False)[1][0]

    def sent(self, stamp_ns: int, data: bytes, now_ns: int) -> None:
        """Note that the robot has handed a packet to the link."""
        self._entry(stamp_ns).sent_ns = now_ns
        self._event(SENT, now_ns, stamp_ns=stamp_ns, bytes=len(data))

    def received(self, stamp_ns: int, data: bytes, now_ns: int) -> ReadPicture | None:
        """Note a packet that has crossed the link; return its camera picture where known."""
        entry = self._entry(stamp_ns)
        entry.received_ns, entry.data = now_ns, data
        try:
            caption = decode_caption(unpack(data).caption)
        except GscError as error:
            caption = f'(bad packet: {error})'
        self._event(RECEIVED, now_ns, stamp_ns=stamp_ns, bytes=len(data), caption=caption)
        return entry.pictures.get(CAMERA)

    def picture(self, view: str, stamp_ns: int, read: ReadPicture, now_ns: int) -> None:
        """Take a decoded picture; ``view`` is ``PLAIN`` or ``DECODED``."""
        entry = self._entry(stamp_ns)
        entry.pictures[view] = read
        entry.touched_ns = now_ns
        if view == DECODED:
            entry.decoded_ns = now_ns

    def detected(self, view: str, stamp_ns: int, objects: Sequence[SceneObject]) -> None:
        """Take detections on one of the three views; too late ones are dropped."""
        if stamp_ns in self._entries:
            self._entries[stamp_ns].detections[view] = list(objects)

    def diagnostics(self, values: dict[str, float], now_ns: int) -> None:
        """Take figures that a node has published about itself, such as ``encode_ms``."""
        self._event(DIAGNOSTICS, now_ns, **values)

    def advance(self, now_ns: int) -> None:
        """Write the entries that are complete, have waited too long or are too many."""
        limits = self._limits
        for stamp_ns, entry in list(self._entries.items()):
            waited = entry.touched_ns is not None and \
                now_ns - entry.touched_ns > limits.patience_ns
            if entry.complete(limits.detections) or waited or \
                    len(self._entries) > limits.pending:
                self._finish(self._entries.pop(stamp_ns))

    def close(self) -> None:
        """Write what is left; idempotent."""
        while self._entries:
            self._finish(self._entries.popitem(last=False)[1])
        self._events.close()
        self._lines.close()

    def _entry(self, stamp_ns: int) -> Entry:
        if stamp_ns not in self._entries:
            self._entries[stamp_ns] = entry = Entry(stamp_ns)
            if stamp_ns in self._ring:
                size, entry.pictures[CAMERA] = self._ring.pop(stamp_ns)
                self._ring_bytes -= size
        return self._entries[stamp_ns]

    def _event(self, kind: str, now_ns: int, **values: Any) -> None:
        self._events.write(json.dumps({'event': kind, 't_ns': now_ns, **values}) + '\n')

    def _finish(self, entry: Entry) -> None:
        """Write an entry, unless nothing of it was received and decoded."""
        if entry.data is None or not {PLAIN, DECODED} & set(entry.pictures):
            return
        line = describe(entry, unpack(entry.data), self.written)
        for view, read in entry.pictures.items():
            name = f'{PICTURES_FOLDER}/{self.written:06}_{view}.png'
            # Little compression: on a small computer the pictures compete with the decoder.
            cv2.imwrite(str(self._folder / name), cv2.cvtColor(read(), cv2.COLOR_RGB2BGR),
                        [cv2.IMWRITE_PNG_COMPRESSION, 1])
            line['files'][view] = name
        self._lines.write(json.dumps(line) + '\n')
        self.written += 1


def describe(entry: Entry, packet: Packet, index: int) -> dict[str, Any]:
    """Make the line of a picture: sizes in bytes, times in seconds, boxes relative."""
    data = entry.data or b''
    latency_s = (entry.decoded_ns - entry.stamp_ns) / 1e9 if entry.decoded_ns else None
    return {
        'index': index, 'stamp_ns': entry.stamp_ns, 'sequence': packet.sequence,
        'width': packet.width, 'height': packet.height,
        'coder': packet.coder.name.lower(), 'quality': packet.quality,
        'bytes': len(data), 'header_bytes': HEADER_BYTES, 'caption_bytes': len(packet.caption),
        'objects_bytes': len(packet.objects), 'latent_bytes': len(packet.latent),
        'bpp': 8 * len(data) / (packet.width * packet.height),
        'caption': decode_caption(packet.caption),
        'objects': [asdict(o) for o in decode_objects(packet.objects)],
        'detections': {view: [asdict(o) for o in entry.detections[view]]
                       if view in entry.detections else None for view in VIEWS},
        'sent_ns': entry.sent_ns, 'received_ns': entry.received_ns,
        'decoded_ns': entry.decoded_ns, 'latency_s': latency_s, 'files': {}}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Complete lines of a file of ours; none if it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
            if line.endswith('\n')]
