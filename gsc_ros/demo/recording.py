"""What the recorder keeps of a run: which topics, which camera pictures, how far it is."""
from __future__ import annotations

from collections import deque, OrderedDict
from dataclasses import asdict, dataclass
import json
from pathlib import Path

from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.errors import GscError
from gsc_ros.link.wire.blobs import STAMP_UNIT_NS
from gsc_ros.media.bag_types import COMPRESSED, FRAME, IMAGE, OBJECTS
from gsc_ros.parameters import topics
from gsc_ros.units import SECOND_NS

CAMERA, PLAIN, DECODED = VIEWS = ('camera', 'plain', 'decoded')
SENT, RECEIVED, DIAGNOSTICS = 'sent', 'received', 'diagnostics'
OBJECTS_ON = {view: f'objects on {view}' for view in VIEWS}
BAG_FOLDER, PROGRESS_FILE = 'bag', 'progress.json'
DIAGNOSTIC_ARRAY = 'diagnostic_msgs/msg/DiagnosticArray'
LIVE_WINDOW_NS = 5 * SECOND_NS


def recorded_topics(camera: str, compressed: bool, prefix: str, original: str
                    ) -> dict[str, tuple[str, str]]:
    """
    Topics with their types, by what they show.

    :param original: where the camera pictures of received packets are shown to the detector.
    """
    stream = topics.stream_topic(camera)
    linked = topics.linked_topic(prefix, stream)
    decoded = topics.decoded_topics(linked)
    views = {CAMERA: original, PLAIN: decoded.plain, DECODED: decoded.picture}
    pictures = (topics.compressed_topic(camera), COMPRESSED) if compressed else (camera, IMAGE)
    return {
        CAMERA: pictures, SENT: (stream, FRAME), RECEIVED: (linked, FRAME),
        PLAIN: (decoded.plain, IMAGE), DECODED: (decoded.picture, IMAGE),
        **{OBJECTS_ON[view]: (topics.detected_topics(image).objects, OBJECTS)
           for view, image in views.items()},
        DIAGNOSTICS: (topics.DIAGNOSTICS, DIAGNOSTIC_ARRAY)}


def stamp_key(stamp_ns: int) -> int:
    """Return a stamp as the link carries it: what belongs to one picture has the same."""
    return stamp_ns // STAMP_UNIT_NS


class CameraRing:
    """The latest camera pictures as messages, within so many bytes; most are never sent."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._wanted: deque[int] = deque(maxlen=64)

    def keep(self, key: int, data: bytes) -> bool:
        """Keep a picture; true if it was asked for already."""
        self._bytes += len(data) - len(self._kept.pop(key, b''))
        self._kept[key] = data
        while self._bytes > self._memory_bytes and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return key in self._wanted

    def ask(self, key: int) -> bytes | None:
        """Return a picture; where it has not come yet, ``keep`` will say that it is wanted."""
        if key not in self._kept:
            self._wanted.append(key)
        return self._kept.get(key)


@dataclass
class Progress:
    """How far a run is, for whoever waits for it; ``kbps`` is that of the last five seconds."""

    sent: int = 0
    received: int = 0
    decoded: int = 0
    kbps: float = 0.0
    caption: str = ''
    up_to_date: bool = False

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """Read what ``ProgressNotes`` has written last; nothing yet: all zero."""
        try:
            return cls(**json.loads((folder / PROGRESS_FILE).read_text()))
        except FileNotFoundError:
            return cls()


class ProgressNotes:
    """Follows a run and writes ``Progress`` for another process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._progress = Progress()
        self._sizes: deque[tuple[int, int]] = deque()
        self._newest = 0

    def sent(self) -> None:
        """Count a packet at the robot."""
        self._progress.sent += 1

    def received(self, key: int, data: bytes, now_ns: int) -> None:
        """Count a packet at the base station."""
        self._progress.received += 1
        self._newest, self._progress.up_to_date = key, False
        self._sizes.append((now_ns, len(data)))
        try:
            self._progress.caption = decode_caption(unpack(data).caption) or self._progress.caption
        except GscError as error:
            self._progress.caption = f'(bad packet: {error})'

    def decoded(self, key: int) -> None:
        """Count a picture of the decoder."""
        self._progress.decoded += 1
        self._progress.up_to_date |= key == self._newest

    def write(self, now_ns: int) -> None:
        """Write the progress; whoever reads never sees half of it."""
        while self._sizes and self._sizes[0][0] <= now_ns - LIVE_WINDOW_NS:
            self._sizes.popleft()
        self._progress.kbps = sum(size for _, size in self._sizes) * 8e6 / LIVE_WINDOW_NS
        beside = self._folder / f'.{PROGRESS_FILE}'
        beside.write_text(json.dumps(asdict(self._progress)))
        beside.replace(self._folder / PROGRESS_FILE)
