"""A recorded run as pictures and packets: what belongs together is matched by its stamp."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
import logging
from pathlib import Path
from typing import Any

import cv2
from gsc_ros.codec.bitstream import Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.codec.objects import decode_objects, SceneObject
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.demo.recording import (
    DECODED,
    DIAGNOSTICS,
    OBJECTS_ON,
    PLAIN,
    RECEIVED,
    SENT,
    stamp_key,
    VIEWS,
)
from gsc_ros.media.bag_reader import (
    Bag,
    DamagedBagError,
    header_stamp_ns,
    Message,
    read_message,
    read_picture_message,
)

PICTURES_FOLDER = 'pictures'
FIGURES = ('encode_ms', 'decode_ms', 'detect_ms')

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PacketTime:
    """A packet of ``size`` bytes at one side of the link, with the stamp of its picture."""

    stamp_ns: int
    time_ns: int
    size: int


@dataclass
class Run:
    """
    A run as its recording tells it.

    ``pictures`` are those that were decoded, in the order of their stamps, as the page wants
    them: sizes in bytes, times in seconds, boxes relative. ``figures`` are what nodes have
    published of themselves, such as ``encode_ms``.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    sent: list[PacketTime] = field(default_factory=list)
    received: list[PacketTime] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in FIGURES})


@dataclass
class _Picture:
    """Everything known of one picture; times in nanoseconds of the recorder's clock."""

    stamp_ns: int
    data: bytes = b''            # the packet, once received
    sent_ns: int | None = None
    received_ns: int | None = None
    decoded_ns: int | None = None
    views: set[str] = field(default_factory=set)
    detections: dict[str, list[SceneObject]] = field(default_factory=dict)

    @property
    def is_seen(self) -> bool:
        """Whether its packet came and was decoded."""
        return bool(self.data) and bool({PLAIN, DECODED} & self.views)


def read_run(bag: Path, topics: Mapping[str, tuple[str, str]], folder: Path) -> Run:
    """
    Read a bag of the recorder; its pictures are written as PNG files to ``folder/pictures``.

    :param topics: as ``recorded_topics`` names them. What a bag that was cut short has is read.
    :raises InvalidInputError: if there is no bag.
    """
    roles = {f'/{topic.lstrip("/")}': role for role, (topic, _) in topics.items()}
    run, found = Run(), dict[int, _Picture]()
    with Bag(bag) as opened:
        # 1. what belongs to each picture
        for message in _readable(opened, roles):
            _note(run, found, roles[message.topic.name], message)
        run.pictures = _describe_all(sorted(found.values(), key=lambda p: p.stamp_ns))
        # 2. its pixels
        lines = {stamp_key(line['stamp_ns']): line for line in run.pictures}
        shown = {name: role for name, role in roles.items() if role in VIEWS}
        for message in _readable(opened, shown):
            _write_picture(lines, shown[message.topic.name], message, folder)
    return run


def _readable(bag: Bag, roles: Mapping[str, str]) -> Iterator[Message]:
    try:
        yield from bag.messages(roles)
    except DamagedBagError as error:
        _log.warning('%s', error)


def _note(run: Run, found: dict[int, _Picture], role: str, message: Message) -> None:
    if role == DIAGNOSTICS:
        for status in read_message(message.data, message.topic.kind).status:
            for pair in status.values:
                if pair.key in FIGURES:
                    run.figures[pair.key].append(float(pair.value))
        return
    stamp_ns = header_stamp_ns(message.data)
    picture = found.setdefault(stamp_key(stamp_ns), _Picture(stamp_ns))
    if role in VIEWS:
        picture.views.add(role)
        if role == DECODED and picture.decoded_ns is None:
            picture.decoded_ns = message.time_ns
    elif role in (SENT, RECEIVED):
        data = bytes(read_message(message.data, message.topic.kind).data)
        packets = run.sent if role == SENT else run.received
        packets.append(PacketTime(stamp_ns, message.time_ns, len(data)))
        if role == SENT:
            picture.sent_ns = message.time_ns
        else:
            picture.received_ns, picture.data = message.time_ns, data
    else:
        view = next(view for view, name in OBJECTS_ON.items() if name == role)
        picture.detections[view] = _objects(read_message(message.data, message.topic.kind))


def _objects(array: Any) -> list[SceneObject]:
    return [SceneObject(o.class_id, o.score, (o.x_min / array.width, o.y_min / array.height,
                                              o.x_max / array.width, o.y_max / array.height))
            for o in array.objects]


def _describe_all(pictures: list[_Picture]) -> list[dict[str, Any]]:
    """Make the lines of the pictures that were seen."""
    lines: list[dict[str, Any]] = []
    known: dict[int, Packet] = {}
    for picture in pictures:
        if picture.data:
            try:
                packet = _complete(unpack(picture.data), known)
            except GscError as error:
                _log.warning('left out a picture: %s', error)
                continue
            known[packet.sequence] = packet
            if picture.is_seen:
                lines.append(_describe(picture, packet, len(lines)))
    return lines


def _complete(packet: Packet, known: Mapping[int, Packet]) -> Packet:
    """
    Fill in what a packet leaves to the picture that it refers to.

    :raises InvalidInputError: if that was not recorded, and so the size is unknown.
    """
    if packet.reference is None:
        return packet
    earlier = known.get((packet.sequence - packet.reference) % SEQUENCES)
    if earlier is not None and packet.text_repeats:
        packet = replace(packet, caption=earlier.caption, objects=earlier.objects)
    if packet.width and packet.height:
        return packet
    if earlier is None:
        raise InvalidInputError('packet', packet.sequence, 'one whose reference was recorded')
    return replace(packet, width=earlier.width, height=earlier.height, quality=earlier.quality)


def _describe(picture: _Picture, packet: Packet, index: int) -> dict[str, Any]:
    shown_ns, size, repeats = picture.decoded_ns, len(picture.data), packet.text_repeats
    parts = {'caption_bytes': 0 if repeats else len(packet.caption),
             'objects_bytes': 0 if repeats else len(packet.objects),
             'latent_bytes': len(packet.latent)}
    return {
        'index': index, 'stamp_ns': picture.stamp_ns, 'sequence': packet.sequence,
        'width': packet.width, 'height': packet.height,
        'coder': packet.coder.name.lower(), 'quality': packet.quality,
        'bytes': size, 'header_bytes': size - sum(parts.values()), **parts,
        'predicted': packet.reference is not None,
        'bpp': 8 * size / (packet.width * packet.height),
        'caption': decode_caption(packet.caption),
        'objects': [asdict(o) for o in decode_objects(packet.objects)],
        'detections': {view: [asdict(o) for o in picture.detections[view]]
                       if view in picture.detections else None for view in VIEWS},
        'sent_ns': picture.sent_ns, 'received_ns': picture.received_ns, 'decoded_ns': shown_ns,
        'latency_s': None if shown_ns is None else (shown_ns - picture.stamp_ns) / 1e9,
        'files': {}}


def _write_picture(lines: Mapping[int, dict[str, Any]], view: str, message: Message, folder: Path
                   ) -> None:
    line = lines.get(stamp_key(header_stamp_ns(message.data)))
    if line is None:
        return
    try:
        picture = read_picture_message(message.data, message.topic.kind)
    except GscError as error:
        _log.warning('left out a picture: %s', error)
        return
    name = f'{PICTURES_FOLDER}/{line["index"]:06}_{view}.png'
    (folder / PICTURES_FOLDER).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_PNG_COMPRESSION, 1])
    line['files'][view] = name
