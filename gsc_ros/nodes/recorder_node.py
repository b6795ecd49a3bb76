"""Records what the camera saw, what crossed the link and what came out, in a bag."""
from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from gsc_msgs.msg import ObjectArray, SemanticFrame
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.demo.recording import (
    BAG_FOLDER,
    CAMERA,
    CameraRing,
    DECODED,
    DIAGNOSTIC_ARRAY,
    ProgressNotes,
    RECEIVED,
    recorded_topics,
    SENT,
    stamp_key,
)
from gsc_ros.media.bag_reader import header_stamp_ns
from gsc_ros.media.bag_types import COMPRESSED, FRAME, IMAGE, OBJECTS
from gsc_ros.media.images import picture_from_compressed
from gsc_ros.media.message_bag import MessageBag
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import image_from_picture
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, output_qos
from gsc_ros.parameters.player import RECORDER
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image

PERIOD_S = 0.25
QUEUE = 20   # a busy machine lets a recorder wait for seconds
CLASSES = {IMAGE: Image, COMPRESSED: CompressedImage, FRAME: SemanticFrame, OBJECTS: ObjectArray,
           DIAGNOSTIC_ARRAY: DiagnosticArray}
# Times of packets are those of their publishers, of pictures those of their arrival on a screen.
PUBLISHED = (SENT, RECEIVED)


class RecorderNode(GscNode):
    """
    Writes messages as they are, without reading them.

    Of the camera it writes the pictures that were sent; those of received packets it shows to the
    detector.
    """

    longest_close_s = 30.0  # without its index the bag would be lost

    def __init__(self) -> None:
        """Make the node; nothing is written before configure."""
        super().__init__('gsc_recorder', RECORDER)
        self._topics: dict[str, tuple[str, str]] = {}
        self._bag: MessageBag | None = None
        self._notes: ProgressNotes | None = None
        self._ring = CameraRing(0)
        self._original: Publisher | None = None
        self._timer: Timer | None = None
        self._counters = Counters('recorder', ())

    def setup(self) -> None:
        """Make the bag and the publisher of originals."""
        values = self.parameters
        if not values['folder']:
            raise InvalidInputError('folder', repr(''), 'a folder to write to')
        folder = Path(values['folder'])
        named = recorded_topics(values['camera'], values['compressed'], values['prefix'],
                                values['original'])
        self._topics = {role: (self.resolve_topic_name(topic), kind)
                        for role, (topic, kind) in named.items()}
        self._bag = MessageBag(folder / BAG_FOLDER, self._topics.values(), values['storage'])
        self._notes = ProgressNotes(folder)
        self._ring = CameraRing(values['memory'] * 10 ** 6)
        self._original = self.advertise(Image, values['original'], output_qos())
        self._counters = Counters('recorder', tuple(self._topics))

    def start(self) -> None:
        """Subscribe to everything."""
        for role, (topic, kind) in self._topics.items():
            reliability = self.parameters['reliability'] if role == CAMERA else 'reliable'
            handle = partial(self._on_message, role)
            self.listen(CLASSES[kind], topic, lambda data, info, handle=handle: handle(data, info),
                        input_qos(reliability, QUEUE), raw=True)
        self._timer = self.create_timer(PERIOD_S, self._write_progress)

    def stop(self) -> None:
        """Write nothing more."""
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None

    def teardown(self) -> None:
        """Close the bag."""
        if self._bag:
            self._bag.close()
        self._bag = self._notes = self._original = None

    def summary(self) -> str:
        """Name the stream and the folder."""
        return f'{self._topics[RECEIVED][0]} -> {self.parameters["folder"]}'

    def counters(self) -> list[Counters]:
        """Count what came by."""
        return [self._counters]

    def _write_progress(self) -> None:
        with self.guard('write'):
            if self._notes:
                self._notes.write(self._now_ns())

    def _on_message(self, role: str, data: bytes, info: dict[str, int]) -> None:
        """Write a message; with a packet that is sent its camera picture."""
        self._counters.add(role)
        now_ns = self._time_ns(info, 'source' if role in PUBLISHED else 'received')
        key = stamp_key(header_stamp_ns(data))
        if role != CAMERA:
            self._write(role, data, now_ns)
        elif self._ring.keep(key, data):
            self._write(CAMERA, data, now_ns)
        self._follow(role, key, data, now_ns)

    def _follow(self, role: str, key: int, data: bytes, now_ns: int) -> None:
        if self._notes is None:
            return
        if role == SENT:
            self._notes.sent()
            camera = self._ring.ask(key)
            if camera is not None:
                self._write(CAMERA, camera, now_ns)
        elif role == RECEIVED:
            self._notes.received(key, bytes(deserialize_message(data, SemanticFrame).data), now_ns)
            self._show_original(key)
        elif role == DECODED:
            self._notes.decoded(key)

    def _write(self, role: str, data: bytes, now_ns: int) -> None:
        if self._bag:
            self._bag.write(self._topics[role][0], data, now_ns)

    def _show_original(self, key: int) -> None:
        camera = self._ring.ask(key)
        if not camera or not self._original or not self._original.get_subscription_count():
            return
        if self.parameters['compressed']:
            message = deserialize_message(camera, CompressedImage)
            self._original.publish(
                image_from_picture(picture_from_compressed(message), message.header))
        else:
            self._original.publish(camera)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _time_ns(self, info: dict[str, int], name: str) -> int:
        """
        When the middleware sent ('source') or took in ('received') a message.

        This node may be busy when one arrives: its own clock would see packets in bunches.
        """
        stamp = info.get(f'{name}_timestamp', 0)
        simulated = self.get_parameter('use_sim_time').value
        return self._now_ns() if simulated or stamp <= 0 else int(stamp)


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(RecorderNode)


if __name__ == '__main__':
    main()
