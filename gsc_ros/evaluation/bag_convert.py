"""A bag with what a base station would have seen beside what the robot recorded. No ROS."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gsc_ros.budget.byte_budget import ByteBudget
from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.evaluation.candidates import OurCodec, OurCodecs
from gsc_ros.evaluation.judges.detection import Detects
from gsc_ros.evaluation.streaming import LiveSettings, Stream
from gsc_ros.media import bag_types
from gsc_ros.media.bag_reader import Bag, Message, picture_topics, read_message, Topic
from gsc_ros.media.images import picture_from_compressed, picture_from_image, shrink_to_width
from gsc_ros.parameters import topics as names
from tqdm import tqdm


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


class _Camera:
    """One camera's coder and the topics that its results go to."""

    def __init__(self, topic: str, prefix: str, stream: Stream) -> None:
        camera = topic.removesuffix('/compressed')
        self.packets = names.stream_topic(camera)
        self.decoded = names.decoded_topics(names.linked_topic(prefix, self.packets))
        self.detected = names.detected_topics(self.decoded.picture)
        self.stream = stream
        self.seen = 0

    def kinds(self, detector: bool) -> dict[str, str]:
        """Topics with their message types."""
        kinds = {self.packets: bag_types.FRAME, self.decoded.picture: bag_types.IMAGE,
                 self.decoded.plain: bag_types.IMAGE, self.decoded.caption: bag_types.STRING,
                 self.decoded.objects: bag_types.OBJECTS}
        return kinds | ({self.detected.objects: bag_types.OBJECTS,
                         self.detected.detections: bag_types.DETECTIONS} if detector else {})


def convert(source: Path, target: Path, ours: OurCodecs, detector: Detects | None,
            settings: ConvertSettings = ConvertSettings(), wanted: tuple[str, ...] = ()
            ) -> Converted:
    """
    Copy a bag and add packets, decoded and plain pictures, captions, objects and detections.

    Pictures are sent as the live path would: all cameras share ``kbps``. What is added keeps the
    header of its picture and stands at the picture's time.

    :param target: a folder that does not exist yet.
    :param wanted: picture topics to send; none: every camera.
    :raises InvalidInputError: if the source has no such topics or the target exists.
    :raises DamagedBagError: after everything readable was written.
    """
    if target.exists():
        raise InvalidInputError('output', target, 'a folder that does not exist yet')
    with ExitStack() as stack:
        bag = stack.enter_context(Bag(source))
        cameras = {t.name: _Camera(t.name, settings.prefix, Stream(
            ours, [OurCodec('gsc', next(iter(ours.encoders)), True, 'default')], settings.live))
            for t in picture_topics(bag, wanted)}
        return _Conversion(bag, target, cameras, detector, settings).run()


class _Conversion:
    def __init__(self, bag: Bag, target: Path, cameras: dict[str, _Camera],
                 detector: Detects | None, settings: ConvertSettings) -> None:
        from gsc_ros.media.packet_bag import STORAGE
        from rosbags.rosbag2 import Writer
        self._bag, self._cameras, self._detector = bag, cameras, detector
        self._settings, self._done = settings, Converted()
        self._budget = ByteBudget(dict.fromkeys(cameras, 1.0),
                                  settings.live.budget(settings.kbps))
        self._writer = Writer(target, version=9, storage_plugin=STORAGE[settings.storage])
        self._connections: dict[str, Any] = {}

    def run(self) -> Converted:
        """Write everything; a damaged source's error comes after the new bag is closed."""
        counts = [t.count for t in self._bag.topics]
        total = None if None in counts else sum(c for c in counts if c is not None)
        self._writer.open()
        try:
            self._connect()
            with tqdm(total=total, unit=' messages', mininterval=1) as bar:
                for message in self._bag.messages(self._connections.keys() & {
                        t.name for t in self._bag.topics}):
                    self._copy(message)
                    bar.update()
        finally:
            self._writer.close()
        return self._done

    def _connect(self) -> None:
        for topic in self._bag.topics:
            self._connect_original(topic)
        added = {name: kind for camera in self._cameras.values()
                 for name, kind in camera.kinds(self._detector is not None).items()}
        taken = sorted(added.keys() & {t.name for t in self._bag.topics})
        if taken:
            raise InvalidInputError('topics of the source', taken,
                                    'others than those that are added; give --prefix or --topics')
        for name, kind in added.items():
            self._connections[name] = self._writer.add_connection(
                name, kind, typestore=bag_types.message_types())

    def _connect_original(self, topic: Topic) -> None:
        """Take the definition in the bag, else the one that we know."""
        from rosbags.interfaces import MessageDefinitionFormat
        from rosbags.typesys import TypesysError
        old = topic.connection
        known: dict[str, Any] = {'typestore': bag_types.message_types()}
        if old is not None and old.msgdef.format != MessageDefinitionFormat.NONE and old.digest:
            known = {'msgdef': old.msgdef.data, 'rihs01': old.digest}
        qos = old.ext.offered_qos_profiles if old is not None else ()
        try:
            self._connections[topic.name] = self._writer.add_connection(
                topic.name, topic.kind, offered_qos_profiles=qos, **known)
        except (TypesysError, KeyError):
            self._done.left_out.append(f'{topic.name} ({topic.kind} has no definition in the bag)')

    def _copy(self, message: Message) -> None:
        self._write(message.topic.name, message.time_ns, message.data)
        self._done.copied += 1
        if message.topic.name not in self._cameras:
            return
        room = self._budget.grant(message.topic.name, message.time_ns)
        if room:
            try:
                self._send(message, room)
            except (InvalidInputError, BudgetError) as error:
                self._budget.cancel(message.topic.name, message.time_ns)
                self._done.bad_pictures.append(f'{message.topic.name} at {message.time_ns}: '
                                               f'{error}')

    def _send(self, message: Message, room: int) -> None:
        """Send a picture and write what the base station makes of it."""
        topic, camera = message.topic.name, self._cameras[message.topic.name]
        original = read_message(message.data, message.topic.kind)
        read: Callable[[Any], Any] = picture_from_image \
            if message.topic.kind == bag_types.IMAGE else picture_from_compressed
        picture = shrink_to_width(read(original), self._settings.live.max_width)
        sent = camera.stream.send(camera.seen, picture, room, message.time_ns)
        camera.seen += 1
        self._budget.spend(topic, len(sent.data), message.time_ns)
        self._done.sent += 1
        self._done.sent_bytes += len(sent.data)
        height, width = picture.shape[:2]
        decoded, said = sent.decoded['gsc'], original.header
        for name, data in (
                (camera.packets, bag_types.frame(said, sent.data)),
                (camera.decoded.picture, bag_types.image(said, decoded.picture)),
                (camera.decoded.plain, bag_types.image(said, decoded.plain)),
                (camera.decoded.caption, bag_types.string(decoded.caption)),
                (camera.decoded.objects,
                 bag_types.object_array(said, decoded.objects, width, height))):
            self._write(name, message.time_ns, data)
        if self._detector is not None:
            found = self._detector.detect(decoded.picture)
            self._write(camera.detected.objects, message.time_ns,
                        bag_types.object_array(said, found, width, height))
            self._write(camera.detected.detections, message.time_ns,
                        bag_types.detection_array(said, found, width, height))

    def _write(self, topic: str, time_ns: int, data: bytes) -> None:
        self._writer.write(self._connections[topic], time_ns, data)
