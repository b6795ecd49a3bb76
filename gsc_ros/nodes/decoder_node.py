"""The base station's node: packets in, pictures out, lazily."""
from __future__ import annotations

import sys
import time
from typing import Any

from gsc_msgs.msg import ObjectArray, SemanticFrame, StreamInfo
from gsc_ros.codec.bitstream import Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.errors import GscError
from gsc_ros.codec.objects import decode_objects
from gsc_ros.nodes import topics
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.images import image_from_picture
from gsc_ros.nodes.lifecycle import GscNode, run_node
from gsc_ros.nodes.messages import object_array, scale_camera_info
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.nodes.tables import DECODER
from gsc_ros.nodes.worker import LatestSlots, Worker
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

SEQUENCES = 1 << 16
LARGEST_GAP = 1000  # a larger jump of the sequence is a restarted encoder, not loss
GENERATE = {'auto': None, 'always': True, 'never': False}


class _Stream:
    """What the node keeps of one stream."""

    def __init__(self, node: DecoderNode, topic: str) -> None:
        self.topic = topic
        names = topics.decoded_topics(topic)
        qos = output_qos()
        self.picture: Publisher = node.create_publisher(Image, names.picture, qos)
        self.plain: Publisher = node.create_publisher(Image, names.plain, qos)
        self.camera_info: Publisher = node.create_publisher(CameraInfo, names.camera_info, qos)
        self.caption: Publisher = node.create_publisher(String, names.caption, qos)
        self.objects: Publisher = node.create_publisher(ObjectArray, names.objects, qos)
        self.counters = Counters(
            topic, ('packets', 'bytes', 'decoded', 'skipped', 'replaced', 'lost'),
            faults=('bad_packets', 'errors'), rates=('packets', 'bytes', 'decoded'))
        self.sequence: int | None = None
        self.info: StreamInfo | None = None

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        return self.picture, self.plain, self.camera_info, self.caption, self.objects

    @property
    def wanted(self) -> bool:
        return any(map(_wanted, self.publishers))


def _wanted(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


class DecoderNode(GscNode):
    """Decodes the newest packet of each stream that somebody looks at."""

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_decoder', DECODER)
        self._streams: dict[str, _Stream] = {}
        self._subscriptions_made: list[Subscription] = []
        self._slots: LatestSlots[SemanticFrame] = LatestSlots()
        self._worker: Worker | None = None
        self._decoder: Any = None

    def setup(self) -> None:
        """Load the decoder; make the publishers."""
        from gsc_ros.decoder import SemanticDecoder

        self._streams = {topic: _Stream(self, topic) for topic in self.parameters['streams']}
        self._decoder = SemanticDecoder(self.parameters['device'])

    def start(self) -> None:
        """Subscribe and start the thread."""
        self._worker = Worker('decode', self._step, lambda error: self.report('decode', error))
        self._worker.start()
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        for topic in self._streams:
            self._subscribe(topic, qos)

    def _subscribe(self, topic: str, qos: Any) -> None:
        self._subscriptions_made += [
            self.create_subscription(SemanticFrame, topic,
                                     lambda msg: self._on_frame(topic, msg), qos),
            self.create_subscription(StreamInfo, topics.info_topic(topic),
                                     lambda msg: self._on_info(topic, msg), latched_qos())]

    def stop(self) -> None:
        """Unsubscribe and end the thread."""
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made = []
        if self._worker:
            self._worker.stop()
            self._worker = None
        self._slots.clear()

    def teardown(self) -> None:
        """Drop the decoder and the publishers."""
        for stream in self._streams.values():
            for publisher in stream.publishers:
                self.destroy_publisher(publisher)
        self._streams = {}
        self._decoder = None

    def summary(self) -> str:
        """Streams and generation."""
        return f'{", ".join(self._streams)}, generate {self.parameters["generate"]}'

    def counters(self) -> list[Counters]:
        """One status per stream."""
        return [stream.counters for stream in self._streams.values()]

    def _on_info(self, topic: str, msg: StreamInfo) -> None:
        with self.guard('stream info'):
            self._streams[topic].info = msg

    def _on_frame(self, topic: str, msg: SemanticFrame) -> None:
        """Count and check every packet; hand it on only if somebody looks."""
        with self.guard('packet'):
            stream = self._streams[topic]
            stream.counters.add('packets')
            stream.counters.add('bytes', len(msg.data))
            try:
                packet = unpack(bytes(msg.data))
            except GscError as error:
                self._bad(stream, error)
                return
            self._count_lost(stream, packet)
            if not stream.wanted:
                stream.counters.add('skipped')
                return
            if self._slots.put(topic, msg):
                stream.counters.add('replaced')
            if self._worker:
                self._worker.notify()

    def _bad(self, stream: _Stream, error: GscError) -> None:
        stream.counters.add('bad_packets')
        self.report(f'{stream.topic}: packet dropped', error)

    def _count_lost(self, stream: _Stream, packet: Packet) -> None:
        if stream.sequence is not None:
            gap = (packet.sequence - stream.sequence - 1) % SEQUENCES
            if gap < LARGEST_GAP:
                stream.counters.add('lost', gap)
        stream.sequence = packet.sequence

    def _step(self) -> float | None:
        taken = self._slots.take_any()
        if taken is None:
            return None
        topic, msg = taken
        stream = self._streams[topic]
        try:
            self._decode(stream, msg)
        except GscError as error:
            self._bad(stream, error)
        except Exception as error:
            stream.counters.add('errors')
            self.report(f'{topic}: decode', error)
        return 0.0

    def _decode(self, stream: _Stream, msg: SemanticFrame) -> None:
        """Decode and publish as much of a packet as has subscribers."""
        started_ns = time.monotonic_ns()
        data = bytes(msg.data)
        packet = unpack(data)
        if _wanted(stream.picture) or _wanted(stream.plain):
            self._publish_pictures(stream, data, msg.header)
        self._publish_facts(stream, packet, msg.header)
        stream.counters.add('decoded')
        stream.counters.gauge('decode_ms', (time.monotonic_ns() - started_ns) / 1e6)
        stream.counters.gauge('packet_bytes', len(data))
        stamp = msg.header.stamp
        age_ns = self.get_clock().now().nanoseconds - (stamp.sec * 10**9 + stamp.nanosec)
        stream.counters.gauge('latency_ms', age_ns / 1e6)

    def _publish_pictures(self, stream: _Stream, data: bytes, header: Header) -> None:
        generate = GENERATE[self.parameters['generate']] if _wanted(stream.picture) else False
        steps, seed = self.parameters['steps'], self.parameters['seed']
        decoded = self._decoder.decode(data, steps=steps or None,
                                       seed=None if seed < 0 else seed, generate=generate)
        if _wanted(stream.picture):
            stream.picture.publish(image_from_picture(decoded.picture, header))
        if _wanted(stream.plain):
            stream.plain.publish(image_from_picture(decoded.plain, header))
        stream.counters.gauge('generated', str(decoded.regenerated is not None).lower())

    def _publish_facts(self, stream: _Stream, packet: Packet, header: Header) -> None:
        width, height = packet.width, packet.height
        if stream.info is not None:
            stream.camera_info.publish(
                scale_camera_info(stream.info.camera_info, width, height, header))
        caption = decode_caption(packet.caption)
        stream.caption.publish(String(data=caption))
        stream.counters.gauge('caption', caption)
        stream.objects.publish(
            object_array(decode_objects(packet.objects), width, height, header))


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(DecoderNode)


if __name__ == '__main__':
    sys.exit(main())
