"""One camera of the encoder node: its topics, its sequence, what the link says of it."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_msgs.msg import SemanticFrame, StreamInfo
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import SenderReferences
from gsc_ros.codec.regions import Focus
from gsc_ros.link.session.control import WHOLE_PICTURE
from gsc_ros.media.images import Picture
from gsc_ros.nodes.declare import NodeParameters
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.feedback import Advice, Feedback, NO_ADVICE
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.qos import latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.scene.change import make_thumbnail, scene_distance
import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

SEQUENCES = 1 << 16
# Mean change of a thumbnail's cell between two pictures of a slow drive [grey levels].
TYPICAL_CHANGE = 12.0


class CameraStream:
    """What the encoder node keeps of one camera."""

    def __init__(self, node: GscNode, topic: str) -> None:
        """Advertise packets and facts of the camera ``topic``."""
        self.topic = topic
        stream = topics.stream_topic(topic)
        self.frames: Publisher = node.advertise(SemanticFrame, stream, output_qos())
        self._infos: Publisher = node.advertise(
            StreamInfo, topics.info_topic(stream), latched_qos())
        self.counters = Counters(
            topic, ('pictures_in', 'encoded', 'replaced', 'bytes', 'acknowledged', 'refreshes'),
            rates=('encoded', 'bytes'),
            faults=('bad_pictures', 'over_budget', 'errors', 'refused_requests'))
        self.feedback = Feedback()
        self.camera_info = CameraInfo()
        self.activity = 1.0
        self._references = SenderReferences()
        self._sequence = 0
        self._info: StreamInfo | None = None
        self._thumbnail: np.ndarray | None = None
        self._sent: tuple[int, int] | None = None  # wire bytes of the last packet, when

    def advice(self, now_ns: int) -> Advice:
        """Return what the link says now, nothing without one."""
        return self.feedback.advice(now_ns) or NO_ADVICE

    def hold_ns(self, now_ns: int) -> int | None:
        """Nanoseconds until operators let the next picture go, 0 for now, None when paused."""
        control = self.advice(now_ns).control
        if control.paused:
            return None
        if not control.rate or self._sent is None:
            return 0
        size, sent_ns = self._sent
        return max(0, sent_ns + int(size / control.rate * 1e9) - now_ns)

    def limit(self, granted: int, smallest: int, now_ns: int) -> int:
        """Bytes that the next packet may have of those granted."""
        wanted = int(granted * self.advice(now_ns).control.quality)
        return min(granted, max(smallest, wanted))

    def focus(self, objects: Sequence[SceneObject], strength: float, now_ns: int) -> Focus:
        """Where the bytes go: the region that an operator asked for, else the objects."""
        roi = self.advice(now_ns).control.roi
        return Focus.on(objects, strength) if roi == WHOLE_PICTURE else Focus([roi], strength)

    def references(self, now_ns: int) -> SenderReferences | None:
        """Return the pictures that the base station holds; None while no link says which."""
        if self.feedback.advice(now_ns) is None:
            self._references.refresh()
            return None
        if self.feedback.hand_on(self._references):
            self.counters.add('refreshes')
        return self._references

    def watch(self, picture: Picture) -> None:
        """Note by how much a picture differs from the one before."""
        thumbnail = make_thumbnail(picture)
        if self._thumbnail is not None:
            change = scene_distance(self._thumbnail, thumbnail)
            self.activity = change / TYPICAL_CHANGE
            self.counters.gauge('activity', self.activity)
        self._thumbnail = thumbnail

    @property
    def sequence(self) -> int:
        """Number of the next packet."""
        return self._sequence

    def publish(self, data: bytes, header: Header, now_ns: int) -> None:
        """Publish the packet with the current sequence number."""
        self.frames.publish(SemanticFrame(header=header, data=data))
        self._sequence = (self._sequence + 1) % SEQUENCES
        self._sent = len(data) + self.advice(now_ns).overhead_bytes, now_ns
        self.counters.add('encoded')
        self.counters.add('bytes', len(data))
        self.counters.gauge('packet_bytes', len(data))

    def publish_info(self, data: bytes, header: Header, values: NodeParameters) -> None:
        """Publish the facts of the stream if they have changed with this packet."""
        packet = unpack(data)
        # With coder auto packets of two models may alternate; facts about the stream must not.
        fingerprint = self._info.fingerprint if self._info else packet.fingerprint
        info = StreamInfo(
            coder=values['coder'], fingerprint=fingerprint, width=packet.width,
            height=packet.height, max_rate=values['max_rate'],
            bytes_per_second=values['bytes_per_second'], max_bytes=values['max_bytes'],
            camera_info=self.camera_info)
        if self._info is not None and _same(info, self._info):
            return
        info.header = header
        self._info = info
        self._infos.publish(info)


def _same(new: StreamInfo, old: StreamInfo) -> bool:
    """Whether two infos differ in nothing but time stamps."""
    new.header = old.header
    new.camera_info.header.stamp = old.camera_info.header.stamp
    return bool(new == old)
