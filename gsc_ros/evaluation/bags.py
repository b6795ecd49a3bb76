"""A bag with what a base station would have seen beside what the robot recorded."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.codec_names import OurCodec
from gsc_ros.evaluation.judges.detection import Detects
from gsc_ros.evaluation.live import Delivered, live_scenes, LiveSettings, Rehearsal
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.media import bag_types
from gsc_ros.media.bag_reader import (
    Bag,
    Message,
    picture_topics,
    read_message,
    read_picture_message,
    Topic,
)
from gsc_ros.media.packet_bag import STORAGE
from gsc_ros.parameters import topics as names
from gsc_ros.receiver import Receiver, View
from gsc_ros.sender import Frame, Sender
import numpy as np
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Writer
from rosbags.typesys import TypesysError
from tqdm import tqdm

_OURS = 'gsc'


@dataclass(frozen=True)
class ConvertSettings:
    """What is sent, and how it is written; ``live`` is how the robot would be set."""

    kbps: float = 8.0
    live: LiveSettings = LiveSettings()
    prefix: str = 'base'
    storage: str = 'mcap'


@dataclass
class Converted:
    """What a conversion has done; ``left_out`` names topics that could not be copied."""

    copied: int = 0
    sent: int = 0
    sent_bytes: int = 0
    bad_pictures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class _Outputs:
    """The topics that one camera's results go to."""

    def __init__(self, topic: str, prefix: str, detector: bool) -> None:
        self.packets = names.stream_topic(topic.removesuffix('/compressed'))
        self.decoded = names.decoded_topics(names.linked_topic(prefix, self.packets))
        self.detected = names.detected_topics(self.decoded.picture)
        self.kinds = {
            self.packets: bag_types.FRAME, self.decoded.picture: bag_types.IMAGE,
            self.decoded.plain: bag_types.IMAGE, self.decoded.caption: bag_types.STRING,
            self.decoded.objects: bag_types.OBJECTS}
        if detector:
            self.kinds |= {self.detected.objects: bag_types.OBJECTS,
                           self.detected.detections: bag_types.DETECTIONS}


class _Target:
    """The bag that is written; ``left_out`` names topics of the source that cannot be copied."""

    def __init__(self, writer: Writer, topics: list[Topic], outputs: dict[str, _Outputs]) -> None:
        """
        Declare the topics of the source and those that are added.

        :raises InvalidInputError: if the source has topics of the added names.
        """
        self.left_out: list[str] = []
        self._writer, self._outputs = writer, outputs
        self._connections: dict[str, Any] = {}
        for topic in topics:
            self._add_original(topic)
        self.copied = list(self._connections)
        added = {name: kind for one in outputs.values() for name, kind in one.kinds.items()}
        if taken := sorted(added.keys() & {topic.name for topic in topics}):
            raise InvalidInputError('topics of the source', taken,
                                    'others than those that are added; give --prefix or --topics')
        for name, kind in added.items():
            self._connections[name] = writer.add_connection(
                name, kind, typestore=bag_types.message_types())

    def _add_original(self, topic: Topic) -> None:
        """Take the definition in the bag, else the one that we know."""
        old = topic.connection
        known: dict[str, Any] = {'typestore': bag_types.message_types()}
        if old is not None and old.msgdef.format != MessageDefinitionFormat.NONE and old.digest:
            known = {'msgdef': old.msgdef.data, 'rihs01': old.digest}
        qos = old.ext.offered_qos_profiles if old is not None else ()
        try:
            self._connections[topic.name] = self._writer.add_connection(
                topic.name, topic.kind, offered_qos_profiles=qos, **known)
        except (TypesysError, KeyError):
            self.left_out.append(f'{topic.name} ({topic.kind} has no definition in the bag)')

    def copy(self, message: Message) -> None:
        """Write a message of the source as it is."""
        self._write(message.topic.name, message.time_ns, message.data)

    def add(self, one: Delivered[Message], detector: Detects | None) -> None:
        """Write a packet and what the base station makes of it."""
        message, decoded = one.outgoing.tag, one.shown[_OURS]
        outputs = self._outputs[message.topic.name]
        header = read_message(message.data, message.topic.kind).header
        height, width = decoded.plain.shape[:2]
        written = {
            outputs.packets: bag_types.frame(header, one.outgoing.data),
            outputs.decoded.picture: bag_types.image(header, decoded.picture),
            outputs.decoded.plain: bag_types.image(header, decoded.plain),
            outputs.decoded.caption: bag_types.string(decoded.caption),
            outputs.decoded.objects: bag_types.object_array(header, decoded.objects, width,
                                                            height)}
        if detector is not None:
            found = detector.detect(decoded.picture)
            written[outputs.detected.objects] = bag_types.object_array(header, found, width,
                                                                       height)
            written[outputs.detected.detections] = bag_types.detection_array(header, found, width,
                                                                             height)
        for topic, data in written.items():
            self._write(topic, one.sent_ns, data)

    def _write(self, topic: str, time_ns: int, data: bytes) -> None:
        self._writer.write(self._connections[topic], time_ns, data)


def convert(source: Path, target: Path, ours: OurCodecs, detector: Detects | None,
            settings: ConvertSettings = ConvertSettings(), wanted: tuple[str, ...] = ()
            ) -> Converted:
    """
    Copy a bag and add packets, decoded and plain pictures, captions, objects and detections.

    Pictures are sent as by the encoder node: all cameras share ``kbps``. What is added keeps the
    header of its picture and stands at the time when its packet is sent.

    :param target: a folder that does not exist yet.
    :param wanted: picture topics to send; none: every camera.
    :raises InvalidInputError: if the source has no such topics or the target exists.
    :raises DamagedBagError: after everything readable was written.
    """
    if target.exists():
        raise InvalidInputError('output', target, 'a folder that does not exist yet')
    with Bag(source) as bag:
        cameras = [topic.name for topic in picture_topics(bag, wanted)]
        rehearsal = _robot_and_base(ours, cameras, settings)
        writer = Writer(target, version=9, storage_plugin=STORAGE[settings.storage])
        writer.open()
        try:
            outputs = {name: _Outputs(name, settings.prefix, detector is not None)
                       for name in cameras}
            return _convert(bag, _Target(writer, bag.topics, outputs), rehearsal, detector)
        finally:
            writer.close()


def _robot_and_base(ours: OurCodecs, cameras: list[str], settings: ConvertSettings
                    ) -> Rehearsal[Message]:
    codec = OurCodec(_OURS, next(iter(ours.encoders)), True, 'default')
    scenes = live_scenes(ours, codec)
    sender: Sender[Message] = Sender(ours.encoders[codec.coder], dict.fromkeys(cameras, 1.0),
                                     settings.live.sender(settings.kbps), scenes)
    receiver: Receiver[Message] = Receiver(ours.decoder, cameras)
    return Rehearsal(sender, {_OURS: (receiver, View())}, scenes, settings.live.rtt_s, ours.clock)


def _convert(bag: Bag, target: _Target, rehearsal: Rehearsal[Message],
             detector: Detects | None) -> Converted:
    """Copy message by message; between two of them the robot sends what it may."""
    done = Converted(left_out=target.left_out)
    counts = [topic.count for topic in bag.topics]
    total = None if None in counts else sum(count for count in counts if count is not None)
    now_ns: int | None = None
    with tqdm(total=total, unit=' messages', mininterval=1) as bar:
        for message in bag.messages(target.copied):
            _send(target, rehearsal, detector, done, (now_ns or message.time_ns, message.time_ns))
            now_ns = message.time_ns
            target.copy(message)
            done.copied += 1
            if message.topic.name in rehearsal.cameras:
                rehearsal.offer(message.topic.name, Frame(partial(_read, message), message))
            bar.update()
    if now_ns is not None:
        _send(target, rehearsal, detector, done, (now_ns, now_ns + 1))
    done.bad_pictures += [f'{message.topic.name} at {message.time_ns}: {error}'
                          for message, error in rehearsal.failed]
    return done


def _send(target: _Target, rehearsal: Rehearsal[Message], detector: Detects | None,
          done: Converted, span_ns: tuple[int, int]) -> None:
    for one in rehearsal.advance(*span_ns):
        target.add(one, detector)
        done.sent += 1
        done.sent_bytes += len(one.outgoing.data)


def _read(message: Message) -> np.ndarray:
    return read_picture_message(message.data, message.topic.kind)
