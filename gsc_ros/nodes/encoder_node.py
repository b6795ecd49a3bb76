"""The robot's node: cameras in, packets out, within the bytes that the link has."""
from __future__ import annotations

from functools import partial
import sys
from threading import Lock
import time
from typing import Any

from gsc_msgs.msg import StreamFeedback
from gsc_ros.budget.byte_budget import BudgetSettings, ByteBudget
from gsc_ros.codec.errors import BudgetError, GscError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.link.session.control import check_request
from gsc_ros.link.wire.datagrams import RequestKind
from gsc_ros.media.images import (
    Picture,
    picture_from_compressed,
    picture_from_image,
    shrink_to_width,
)
from gsc_ros.nodes.camera_stream import CameraStream
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.feedback import Advice
from gsc_ros.nodes.lifecycle import GscNode, run_node
from gsc_ros.nodes.qos import input_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.worker import LatestSlots, Worker
from gsc_ros.scene.watcher import RefreshRule, SceneWatcher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

FEEDBACK_DEPTH = 20
SHORTEST_WAIT_S = 0.001


class EncoderNode(GscNode):
    """Encodes the newest picture of each camera whenever the budget allows one."""

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_encoder', ENCODER)
        self._cameras: dict[str, CameraStream] = {}
        self._slots: LatestSlots[Any] = LatestSlots()
        self._worker: Worker | None = None
        # a step that outlasts deactivation is waited for
        self._turn, self._look_turn = Lock(), Lock()
        self._scenes: SceneWatcher | None = None
        self._describe: Any = None
        self._encoder: Any = None
        self._budget: Any = None

    def setup(self) -> None:
        """Load coder, detector and captioner; make the publishers."""
        from gsc_ros.encoder import SemanticEncoder

        values = self.parameters
        self._encoder = SemanticEncoder(values['coder'], values['device'])
        if (values['detector'], values['caption_source']) != ('none', 'none'):
            from gsc_ros.scene.describe import load_describe
            self._describe = load_describe(values['detector'], values['caption_source'],
                                           values['device'], values['detector_confidence'])
        self._cameras = {topic: CameraStream(self, topic) for topic in values['cameras']}

    def start(self) -> None:
        """Subscribe and start the threads."""
        self._budget = ByteBudget(self._shares(), self._budget_settings([]))
        if self._describe:
            self._scenes = SceneWatcher(self._describe, self._refresh_rule(),
                                        lambda error: self.report('caption and objects', error),
                                        self._look_turn)
            self._scenes.start()
        self._worker = Worker('encode', self._step, lambda error: self.report('encode', error),
                              self._turn)
        self._worker.start()
        for camera in self._cameras.values():
            self._subscribe(camera)

    def _subscribe(self, camera: CameraStream) -> None:
        compressed = self.parameters['transport'] == 'compressed'
        kind = CompressedImage if compressed else Image
        name = topics.compressed_topic(camera.topic) if compressed else camera.topic
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        self.listen(kind, name, partial(self._on_picture, camera), qos)
        self.listen(CameraInfo, topics.camera_info_topic(camera.topic),
                    partial(self._on_camera_info, camera), qos)
        self.listen(StreamFeedback, topics.feedback_topic(topics.stream_topic(camera.topic)),
                    partial(self._on_feedback, camera), output_qos(FEEDBACK_DEPTH))

    def stop(self) -> None:
        """End the threads."""
        if self._worker:
            self._worker.stop()
            self._worker = None
        if self._scenes:
            self._scenes.stop()
            self._scenes = None
        self._slots.clear()

    def teardown(self) -> None:
        """Drop models and cameras."""
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
            self._worker.notify()
        if self._scenes:
            self._scenes.rule = self._refresh_rule()

    def _shares(self) -> dict[str, float]:
        cameras, weights = self.parameters['cameras'], self.parameters['priorities']
        weights = weights * len(cameras) if len(weights) == 1 else weights
        return dict(zip(cameras, weights, strict=True))

    def _budget_settings(self, advised: list[Advice]) -> BudgetSettings:
        """Take what the parameters allow, or what the link says where that is less."""
        values = self.parameters
        told = [advice for advice in advised if advice.bytes_per_second]
        speed = min([values['bytes_per_second'], *(advice.bytes_per_second for advice in told)])
        return BudgetSettings(
            speed, values['max_rate'], values['min_bytes'], values['max_bytes'],
            told[0].overhead_bytes if told else values['overhead_bytes'],
            told[0].fragment_bytes if told else None, values['latency'])

    def _refresh_rule(self) -> RefreshRule:
        values = self.parameters
        return RefreshRule(values['scene_period'], values['scene_change'], values['scene_refresh'])

    def _on_picture(self, camera: CameraStream, msg: Image | CompressedImage) -> None:
        camera.counters.add('pictures_in')
        if self._slots.put(camera.topic, msg):
            camera.counters.add('replaced')
        if self._worker:
            self._worker.notify()

    def _on_camera_info(self, camera: CameraStream, msg: CameraInfo) -> None:
        camera.camera_info = msg

    def _on_feedback(self, camera: CameraStream, msg: StreamFeedback) -> None:
        try:
            check_request(RequestKind.ROI, msg.roi)
        except InvalidInputError:
            camera.counters.add('refused_requests')
            raise
        camera.feedback.take(msg, time.monotonic_ns())
        camera.counters.add('acknowledged', len(msg.acknowledged))
        if self._worker:
            self._worker.notify()

    def _step(self) -> float | None:
        """Encode one picture if the budget allows; else the seconds until it may, None if idle."""
        now_ns = time.monotonic_ns()
        self._follow_link(now_ns)
        waits = []
        for topic in self._slots.keys():
            camera = self._cameras[topic]
            hold_ns = camera.hold_ns(now_ns)
            if hold_ns is None:
                continue
            self._budget.offer(topic, now_ns, activity=camera.activity)
            granted = 0 if hold_ns else self._budget.grant(topic, now_ns)
            if granted:
                self._handle(camera, self._slots.take(topic), granted)
                return 0.0
            waits.append(max(hold_ns, self._budget.wait_ns(topic, now_ns)) / 1e9)
        return max(SHORTEST_WAIT_S, min(waits)) if waits else None

    def _follow_link(self, now_ns: int) -> None:
        """Share what the link carries now, as operators wish."""
        advised = {topic: camera.advice(now_ns) for topic, camera in self._cameras.items()}
        settings = self._budget_settings(list(advised.values()))
        if settings != self._budget.settings:
            self._budget.change(settings)
        for topic, weight in self._shares().items():
            self._budget.prioritise(topic, advised[topic].control.priority or weight)

    def _handle(self, camera: CameraStream, msg: Image | CompressedImage, granted: int) -> None:
        """Encode and publish one picture; whatever goes wrong is counted and given back."""
        try:
            picture = self._picture(msg)
        except GscError as error:
            camera.counters.add('bad_pictures')
            self._give_up(camera, 'bad picture', error)
            return
        try:
            self._encode(camera, picture, msg.header, granted)
        except BudgetError as error:
            camera.counters.add('over_budget')
            self._give_up(camera, 'picture over budget', error)
        except Exception as error:
            camera.counters.add('errors')
            self._give_up(camera, 'encode', error)

    def _give_up(self, camera: CameraStream, kind: str, error: Exception) -> None:
        self._budget.cancel(camera.topic, time.monotonic_ns())
        self.report(f'{camera.topic}: {kind}', error)

    def _picture(self, msg: Image | CompressedImage) -> Picture:
        convert = picture_from_image if isinstance(msg, Image) else picture_from_compressed
        return shrink_to_width(convert(msg), self.parameters['max_width'])

    def _encode(self, camera: CameraStream, picture: Picture, header: Header,
                granted: int) -> None:
        started_ns = time.monotonic_ns()
        camera.watch(picture)
        caption, objects = self._words(camera.topic, picture, started_ns)
        limit = camera.limit(granted, self.parameters['min_bytes'], started_ns)
        references = camera.references(started_ns) if self.parameters['temporal'] else None
        data = self._encoder.encode(
            picture, limit, caption=caption, objects=objects[:self.parameters['max_objects']],
            sequence=camera.sequence, seed=self.parameters['seed'], references=references,
            focus=camera.focus(objects, self.parameters['focus'], started_ns))
        now_ns = time.monotonic_ns()
        self._budget.spend(camera.topic, len(data), now_ns)
        camera.publish(data, header, now_ns)
        camera.publish_info(data, header, self.parameters)
        camera.counters.gauge('encode_ms', (now_ns - started_ns) / 1e6)
        camera.counters.gauge('caption', caption)

    def _words(self, topic: str, picture: Picture, now_ns: int) -> tuple[str, list[SceneObject]]:
        if not self._scenes:
            return '', []
        self._scenes.consider(topic, picture, now_ns)
        scene = self._scenes.current(topic)
        return scene.caption, list(scene.objects)


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(EncoderNode)


if __name__ == '__main__':
    sys.exit(main())
