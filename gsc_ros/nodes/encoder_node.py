"""The robot's node: cameras in, packets out, within the bytes that the link has."""
from __future__ import annotations

import sys
import time
from typing import Any

from gsc_msgs.msg import SemanticFrame, StreamInfo
from gsc_ros.budget import BudgetSettings, ByteBudget
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.errors import BudgetError, GscError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.nodes import topics
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.images import (
    Picture,
    picture_from_compressed,
    picture_from_image,
    shrink_to_width,
)
from gsc_ros.nodes.lifecycle import GscNode, run_node
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.nodes.scene import load_describe, RefreshRule, SceneWatcher
from gsc_ros.nodes.tables import ENCODER
from gsc_ros.nodes.worker import LatestSlots, Worker
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

SHORTEST_WAIT_S = 0.001
SEQUENCES = 1 << 16


class _Camera:
    """What the node keeps of one camera."""

    def __init__(self, node: EncoderNode, topic: str) -> None:
        self.topic = topic
        stream = topics.stream_topic(topic)
        self.frames: Publisher = node.create_publisher(SemanticFrame, stream, output_qos())
        self.infos: Publisher = node.create_publisher(
            StreamInfo, topics.info_topic(stream), latched_qos())
        self.counters = Counters(
            topic, ('pictures_in', 'encoded', 'replaced', 'bytes'), rates=('encoded', 'bytes'),
            faults=('bad_pictures', 'over_budget', 'errors'))
        self.sequence = 0
        self.camera_info = CameraInfo()
        self.info: StreamInfo | None = None


class EncoderNode(GscNode):
    """Encodes the newest picture of each camera whenever the budget allows one."""

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_encoder', ENCODER)
        self._cameras: dict[str, _Camera] = {}
        self._subscriptions_made: list[Subscription] = []
        self._slots: LatestSlots[Any] = LatestSlots()
        self._worker: Worker | None = None
        self._scenes: SceneWatcher | None = None
        self._describe: Any = None
        self._encoder: Any = None
        self._budget: Any = None

    def setup(self) -> None:
        """Load coder, detector and captioner; make the publishers."""
        from gsc_ros.encoder import SemanticEncoder

        values = self.parameters
        self._encoder = SemanticEncoder(values['coder'], values['device'])
        self._describe = load_describe(values['detector'], values['caption_source'],
                                       values['device'], values['detector_confidence'])
        self._cameras = {topic: _Camera(self, topic) for topic in values['cameras']}

    def start(self) -> None:
        """Subscribe and start the threads."""
        cameras, weights = self.parameters['cameras'], self.parameters['priorities']
        weights = weights * len(cameras) if len(weights) == 1 else weights
        shares = dict(zip(cameras, weights, strict=True))
        self._budget = ByteBudget(shares, self._budget_settings())
        if self._describe:
            self._scenes = SceneWatcher(self._describe, self._refresh_rule(),
                                        lambda error: self.report('caption and objects', error))
            self._scenes.start()
        self._worker = Worker('encode', self._step, lambda error: self.report('encode', error))
        self._worker.start()
        for topic in cameras:
            self._subscribe(topic)

    def _subscribe(self, topic: str) -> None:
        compressed = self.parameters['transport'] == 'compressed'
        kind = CompressedImage if compressed else Image
        name = topics.compressed_topic(topic) if compressed else topic
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        self._subscriptions_made += [
            self.create_subscription(kind, name, lambda msg: self._on_picture(topic, msg), qos),
            self.create_subscription(CameraInfo, topics.camera_info_topic(topic),
                                     lambda msg: self._on_camera_info(topic, msg), qos)]

    def stop(self) -> None:
        """Unsubscribe and end the threads."""
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made = []
        if self._worker:
            self._worker.stop()
            self._worker = None
        if self._scenes:
            self._scenes.stop()
            self._scenes = None
        self._slots.clear()

    def teardown(self) -> None:
        """Drop models and publishers."""
        for camera in self._cameras.values():
            self.destroy_publisher(camera.frames)
            self.destroy_publisher(camera.infos)
        self._cameras = {}
        self._describe = None
        self._encoder = None

    def summary(self) -> str:
        """Cameras, coder and budget."""
        values = self.parameters
        return (f'{", ".join(self._cameras)} ({values["transport"]}), coder {values["coder"]}, '
                f'{values["bytes_per_second"]} bytes/s')

    def counters(self) -> list[Counters]:
        """One status per camera."""
        return [camera.counters for camera in self._cameras.values()]

    def parameters_changed(self) -> None:
        """Take new limits while running."""
        if self._worker:
            self._budget.change(self._budget_settings())
            self._worker.notify()
        if self._scenes:
            self._scenes.rule = self._refresh_rule()

    def _budget_settings(self) -> BudgetSettings:
        values = self.parameters
        return BudgetSettings(values['bytes_per_second'], values['max_rate'], values['min_bytes'],
                              values['max_bytes'], values['overhead_bytes'])

    def _refresh_rule(self) -> RefreshRule:
        values = self.parameters
        return RefreshRule(values['scene_period'], values['scene_change'], values['scene_refresh'])

    def _on_picture(self, topic: str, msg: Image | CompressedImage) -> None:
        with self.guard('picture'):
            counters = self._cameras[topic].counters
            counters.add('pictures_in')
            if self._slots.put(topic, msg):
                counters.add('replaced')
            if self._worker:
                self._worker.notify()

    def _on_camera_info(self, topic: str, msg: CameraInfo) -> None:
        with self.guard('camera_info'):
            self._cameras[topic].camera_info = msg

    def _step(self) -> float | None:
        """Encode one picture if the budget allows; else the seconds until it may, None if idle."""
        now_ns = time.monotonic_ns()
        waits = []
        for topic in self._slots.keys():
            self._budget.offer(topic, now_ns)
            granted = self._budget.grant(topic, now_ns)
            if granted:
                self._handle(self._cameras[topic], self._slots.take(topic), granted)
                return 0.0
            waits.append(self._budget.wait_ns(topic, now_ns) / 1e9)
        return max(SHORTEST_WAIT_S, min(waits)) if waits else None

    def _handle(self, camera: _Camera, msg: Image | CompressedImage, granted: int) -> None:
        """Encode and publish one picture; whatever goes wrong is counted and given back."""
        try:
            picture = self._picture(msg)
        except GscError as error:
            camera.counters.add('bad_pictures')
            self._give_up(camera, 'bad picture', error)
            return
        try:
            self._encode(camera, picture, msg, granted)
        except BudgetError as error:
            camera.counters.add('over_budget')
            self._give_up(camera, 'picture over budget', error)
        except Exception as error:
            camera.counters.add('errors')
            self._give_up(camera, 'encode', error)

    def _give_up(self, camera: _Camera, kind: str, error: Exception) -> None:
        self._budget.cancel(camera.topic, time.monotonic_ns())
        self.report(f'{camera.topic}: {kind}', error)

    def _picture(self, msg: Image | CompressedImage) -> Picture:
        convert = picture_from_image if isinstance(msg, Image) else picture_from_compressed
        return shrink_to_width(convert(msg), self.parameters['max_width'])

    def _encode(self, camera: _Camera, picture: Picture, msg: Image | CompressedImage,
                granted: int) -> None:
        started_ns = time.monotonic_ns()
        caption, objects = '', list[SceneObject]()
        if self._scenes:
            self._scenes.consider(camera.topic, picture, started_ns)
            scene = self._scenes.current(camera.topic)
            caption = scene.caption
            objects = list(scene.objects[:self.parameters['max_objects']])
        data = self._encoder.encode(
            picture, granted, caption=caption, objects=objects, sequence=camera.sequence,
            seed=self.parameters['seed'])
        self._budget.spend(camera.topic, len(data), time.monotonic_ns())
        camera.frames.publish(SemanticFrame(header=msg.header, data=data))
        camera.sequence = (camera.sequence + 1) % SEQUENCES
        camera.counters.add('encoded')
        camera.counters.add('bytes', len(data))
        camera.counters.gauge('encode_ms', (time.monotonic_ns() - started_ns) / 1e6)
        camera.counters.gauge('packet_bytes', len(data))
        camera.counters.gauge('caption', caption)
        self._publish_info(camera, data, msg)

    def _publish_info(self, camera: _Camera, data: bytes, msg: Image | CompressedImage) -> None:
        packet = unpack(data)
        # With coder auto packets of two models may alternate; facts about the stream must not.
        fingerprint = camera.info.fingerprint if camera.info else packet.fingerprint
        settings = self._budget.settings
        info = StreamInfo(
            coder=self.parameters['coder'], fingerprint=fingerprint, width=packet.width,
            height=packet.height, max_rate=settings.max_rate,
            bytes_per_second=settings.bytes_per_second, max_bytes=settings.max_bytes,
            camera_info=camera.camera_info)
        if camera.info is not None and _same(info, camera.info):
            return
        info.header = msg.header
        camera.info = info
        camera.infos.publish(info)


def _same(new: StreamInfo, old: StreamInfo) -> bool:
    """Whether two infos differ in nothing but time stamps."""
    new.header = old.header
    new.camera_info.header.stamp = old.camera_info.header.stamp
    return bool(new == old)


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(EncoderNode)


if __name__ == '__main__':
    sys.exit(main())
