"""Records what the camera saw, what crossed the link and what came out, picture by picture."""
from __future__ import annotations

from pathlib import Path
import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from gsc_msgs.msg import ObjectArray, SemanticFrame
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.demo.recording import CAMERA, DECODED, Limits, PLAIN, ReadPicture, Recording
from gsc_ros.media.images import image_from_picture, picture_from_compressed, picture_from_image
from gsc_ros.media.packet_bag import PacketBag
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode, run_node
from gsc_ros.nodes.qos import input_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.player import RECORDER
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

PERIOD_S = 0.2
QUEUE = 20   # a busy machine lets a recorder wait for seconds
FIGURES = ('encode_ms', 'decode_ms', 'detect_ms')


class RecorderNode(GscNode):
    """Subscribes to both sides of the link; writes through ``Recording`` and ``PacketBag``."""

    def __init__(self) -> None:
        """Make the node; nothing is written before configure."""
        super().__init__('gsc_recorder', RECORDER)
        self._recording: Recording | None = None
        self._bag: PacketBag | None = None
        self._original: Publisher | None = None
        self._timer: Any = None
        self._counters = Counters('recorder', ('camera', 'sent', 'received', 'plain', 'decoded'))

    def setup(self) -> None:
        """Make the folder, the bag and the publisher of originals."""
        values = self.parameters
        if not values['folder']:
            raise InvalidInputError('folder', repr(''), 'a folder to write to')
        folder = Path(values['folder'])
        self._recording = Recording(folder, Limits(
            round(values['patience'] * 1e9), values['pending'], values['memory'] * 10 ** 6,
            values['detections']))
        if (folder / 'packets').exists():
            raise InvalidInputError('folder', folder, 'a folder without "packets" in it')
        self._bag = PacketBag(folder / 'packets', self.resolve_topic_name(self._linked()),
                              values['storage'])
        self._original = self.advertise(Image, values['original'], output_qos())

    def _linked(self) -> str:
        return topics.linked_topic(self.parameters['prefix'],
                                   topics.stream_topic(self.parameters['camera']))

    def start(self) -> None:
        """Subscribe to everything."""
        camera = self.parameters['camera']
        decoded = topics.decoded_topics(self._linked())
        if self.parameters['compressed']:
            kind, camera_name = CompressedImage, topics.compressed_topic(camera)
        else:
            kind, camera_name = Image, camera
        self._listen(kind, camera_name, self._on_camera,
                     reliability=self.parameters['reliability'])
        self._listen(SemanticFrame, topics.stream_topic(camera), self._on_sent)
        self._listen(SemanticFrame, self._linked(), self._on_received)
        for view, image in ((PLAIN, decoded.plain), (DECODED, decoded.picture)):
            self._listen(Image, image, self._on_picture, view)
        for view, image in ((PLAIN, decoded.plain), (DECODED, decoded.picture),
                            (CAMERA, self.parameters['original'])):
            self._listen(ObjectArray, topics.detected_topics(image).objects, self._on_objects,
                         view)
        self._listen(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics)
        self._timer = self.create_timer(PERIOD_S, self._advance)

    def _listen(self, kind: Any, topic: str, handle: Any, *extra: Any,
                reliability: str = 'reliable') -> None:
        self.listen(kind, topic, lambda msg, info: handle(msg, info, *extra),
                    input_qos(reliability, QUEUE))

    def stop(self) -> None:
        """Write nothing more."""
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None

    def teardown(self) -> None:
        """Write what is left and close the files."""
        if self._recording:
            self._recording.close()
            self._recording = None
        if self._bag:
            self._bag.close()
            self._bag = None
        self._original = None

    def summary(self) -> str:
        """Name the stream and the folder."""
        return f'{self._linked()} -> {self.parameters["folder"]}'

    def counters(self) -> list[Counters]:
        """Count what came by."""
        return [self._counters]

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _advance(self) -> None:
        with self.guard('write'):
            if self._recording:
                self._recording.advance(self._now_ns())

    def _time_ns(self, info: dict[str, int], name: str) -> int:
        """
        When the middleware sent ('source') or took in ('received') a message.

        This node may be busy when one arrives: its own clock would see packets in bunches.
        """
        stamp = info.get(f'{name}_timestamp', 0)
        simulated = self.get_parameter('use_sim_time').value
        return self._now_ns() if simulated or stamp <= 0 else int(stamp)

    def _on_camera(self, msg: Image | CompressedImage, info: dict[str, int]) -> None:
        self._counters.add('camera')
        if self._recording:
            self._recording.camera(_stamp_ns(msg), len(msg.data), _reader(msg))

    def _on_sent(self, msg: SemanticFrame, info: dict[str, int]) -> None:
        self._counters.add('sent')
        if self._recording:
            self._recording.sent(_stamp_ns(msg), bytes(msg.data),
                                 self._time_ns(info, 'source'))

    def _on_received(self, msg: SemanticFrame, info: dict[str, int]) -> None:
        self._counters.add('received')
        if not self._recording or not self._bag or not self._original:
            return
        now_ns = self._time_ns(info, 'source')
        self._bag.write(serialize_message(msg), now_ns)
        read = self._recording.received(_stamp_ns(msg), bytes(msg.data), now_ns)
        if read and self._original.get_subscription_count():
            self._original.publish(image_from_picture(read(), msg.header))

    def _on_picture(self, msg: Image, info: dict[str, int], view: str) -> None:
        self._counters.add(view)
        if self._recording:
            self._recording.picture(view, _stamp_ns(msg), _reader(msg),
                                    self._time_ns(info, 'received'))

    def _on_objects(self, msg: ObjectArray, info: dict[str, int], view: str) -> None:
        if self._recording:
            self._recording.detected(view, _stamp_ns(msg), [SceneObject(
                o.class_id, o.score, (o.x_min / msg.width, o.y_min / msg.height,
                                      o.x_max / msg.width, o.y_max / msg.height))
                for o in msg.objects])

    def _on_diagnostics(self, msg: DiagnosticArray, info: dict[str, int]) -> None:
        found = {pair.key: float(pair.value) for status in msg.status for pair in status.values
                 if pair.key in FIGURES}
        if found and self._recording:
            self._recording.diagnostics(found, self._now_ns())


def _stamp_ns(msg: Any) -> int:
    stamp = msg.header.stamp
    return int(stamp.sec) * 10 ** 9 + int(stamp.nanosec)


def _reader(msg: Image | CompressedImage) -> ReadPicture:
    convert: Any = picture_from_image if isinstance(msg, Image) else picture_from_compressed
    return lambda: convert(msg)


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(RecorderNode)


if __name__ == '__main__':
    sys.exit(main())
