"""A bag with what a base station would have seen beside what the robot recorded."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.codec_names import OurCodec
from gsc_ros.evaluation.judges.detection import Detects
from gsc_ros.evaluation.live import Key, live_scenes, LiveSettings, Rehearsal
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.media import bag_types
from gsc_ros.media.bag_reader import (
    Bag,
    CDR,
    Message,
    picture_topics,
    read_message,
    read_picture_message,
    Topic,
)
from gsc_ros.media.packet_bag import STORAGE
from gsc_ros.parameters import topics as names
from gsc_ros.receiver import Receiver, View
from gsc_ros.sender import Frame, Outgoing, Sender
from gsc_ros.units import SECOND_NS
import numpy as np
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Writer
from rosbags.typesys import TypesysError
from tqdm import tqdm

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture

_OURS = 'gsc'
_UNDER_WAY_NS = 2 * SECOND_NS    # what is under way when the source ends still arrives


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
        self._originals: dict[Topic, Any] = {}
        self._added: dict[str, Any] = {}
        for topic in topics:
            self._add_original(topic)
        added = {name: kind for one in outputs.values() for name, kind in one.kinds.items()}
        if taken := sorted(added.keys() & {topic.name for topic in topics}):
            raise InvalidInputError('topics of the source', taken,
                                    'others than those that are added; give --prefix or --topics')
        for name, kind in added.items():
            self._added[name] = writer.add_connection(
                name, kind, typestore=bag_types.message_types())

    def _add_original(self, topic: Topic) -> None:
        """Take the definition in the bag, else ours; one name may have topics of two types."""
        if topic.encoding != CDR:
            self.left_out.append(f'{topic.name} ({topic.kind} in {topic.encoding or "nothing"}, '
                                 f'not {CDR})')
            return
        old = topic.connection
        known: dict[str, Any] = {'typestore': bag_types.message_types()}
        if old is not None and old.msgdef.format != MessageDefinitionFormat.NONE and old.digest:
            known = {'msgdef': old.msgdef.data, 'rihs01': old.digest}
        qos = old.ext.offered_qos_profiles if old is not None else ()
        try:
            self._originals[topic] = self._writer.add_connection(
                topic.name, topic.kind, offered_qos_profiles=qos, **known)
        except (TypesysError, KeyError):
            self.left_out.append(f'{topic.name} ({topic.kind} has no definition in the bag)')

    @property
    def copied(self) -> list[Topic]:
        """Topics of the source that can be copied."""
        return list(self._originals)

    def copy(self, message: Message) -> None:
        """Write a message of the source as it is."""
        self._writer.write(self._originals[message.topic], message.time_ns, message.data)

    def add_packet(self, outgoing: Outgoing[Message], time_ns: int) -> None:
        """Write a packet as it leaves the robot."""
        outputs = self._outputs[outgoing.tag.topic.name]
        self._write(outputs.packets, time_ns,
                    bag_types.frame(_header(outgoing.tag), outgoing.data))

    def add_picture(self, message: Message, decoded: DecodedPicture, detector: Detects | None,
                    time_ns: int) -> None:
        """Write what the base station makes of a packet, when it shows it."""
        outputs, header = self._outputs[message.topic.name], _header(message)
        height, width = decoded.plain.shape[:2]
        written = {
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
            self._write(topic, time_ns, data)

    def _write(self, topic: str, time_ns: int, data: bytes) -> None:
        self._writer.write(self._added[topic], time_ns, data)


def convert(source: Path, target: Path, ours: OurCodecs, detector: Detects | None,
            settings: ConvertSettings = ConvertSettings(), wanted: tuple[str, ...] = ()
            ) -> Converted:
    """
    Copy a bag and add packets, decoded and plain pictures, captions, objects and detections.

    Pictures are sent as by the encoder node: all cameras share ``kbps``. What is added keeps the
    header of its picture; packets stand at the time when they are sent, decoded pictures when
    they are shown.

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


def _header(message: Message) -> Any:
    return read_message(message.data, message.topic.kind).header


def _robot_and_base(ours: OurCodecs, cameras: list[str], settings: ConvertSettings
                    ) -> Rehearsal[Message]:
    codec = OurCodec(_OURS, next(iter(ours.encoders)), True, 'default')
    scenes = live_scenes(ours, codec)
    sender: Sender[Message] = Sender(ours.encoders[codec.coder], dict.fromkeys(cameras, 1.0),
                                     settings.live.sender(settings.kbps), scenes)
    receiver: Receiver[Key] = Receiver(ours.decoder, cameras)
    return Rehearsal(sender, {_OURS: (receiver, View())}, scenes,
                     settings.live.link(settings.kbps, cameras), ours.clock)


def _convert(bag: Bag, target: _Target, rehearsal: Rehearsal[Message],
             detector: Detects | None) -> Converted:
    """Copy message by message; between two of them robot, link and base station go on."""
    run = _Run(target, rehearsal, detector, Converted(left_out=target.left_out))
    counts = [topic.count for topic in bag.topics]
    total = None if None in counts else sum(count for count in counts if count is not None)
    with tqdm(total=total, unit=' messages', mininterval=1) as bar:
        for message in bag.messages(target.copied):
            run.until(message.time_ns)
            target.copy(message)
            run.done.copied += 1
            if message.topic.shows_pictures and message.topic.name in rehearsal.cameras:
                rehearsal.offer(message.topic.name, Frame(partial(_read, message), message),
                                message.time_ns)
            bar.update()
    run.until(run.now_ns + _UNDER_WAY_NS)
    run.done.bad_pictures += [f'{message.topic.name} at {message.time_ns}: {error}'
                              for message, error in rehearsal.failed]
    return run.done


class _Run:
    """Moves the rehearsal's clock, which starts at 0, along the bag's and writes what happens."""

    def __init__(self, target: _Target, rehearsal: Rehearsal[Message], detector: Detects | None,
                 done: Converted) -> None:
        self.done, self.now_ns = done, 0
        self._target, self._rehearsal, self._detector = target, rehearsal, detector
        self._first_ns: int | None = None

    def until(self, time_ns: int) -> None:
        """Let time pass until ``time_ns`` of the bag."""
        if self._first_ns is None:
            self._first_ns = self.now_ns = time_ns
        for _, shown in self._rehearsal.advance(self.now_ns - self._first_ns,
                                                time_ns - self._first_ns):
            self._target.add_picture(shown.sent.outgoing.tag, shown.decoded, self._detector,
                                     shown.shown_ns + self._first_ns)
        for sent in self._rehearsal.sent:
            self._target.add_packet(sent.outgoing, sent.sent_ns + self._first_ns)
            self.done.sent += 1
            self.done.sent_bytes += len(sent.outgoing.data)
        self._rehearsal.sent.clear()    # they hold the messages of their pictures
        self.now_ns = max(self.now_ns, time_ns)


def _read(message: Message) -> np.ndarray:
    return read_picture_message(message.data, message.topic.kind)
