"""The robot's node: cameras in, packets out, within the bytes that the link has."""
from __future__ import annotations

from collections import Counter
from functools import partial
from threading import Lock
import time
from typing import NoReturn, TYPE_CHECKING

from gsc_msgs.msg import SemanticFrame, StreamFeedback, StreamInfo
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.session.control import check_request
from gsc_ros.link.wire.datagrams import RequestKind
from gsc_ros.media.images import picture_from_compressed, picture_from_image
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.info_messages import StreamInfoPublisher
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import feedback_from_message
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.worker import Worker
from gsc_ros.scene.watcher import RefreshRule, SceneWatcher
from gsc_ros.sender import Frame, Outgoing, Sender, SenderSettings, Turn
from gsc_ros.units import SECOND_NS
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

if TYPE_CHECKING:
    from gsc_ros.encoder import SemanticEncoder
    from gsc_ros.scene.describe import Describe

FEEDBACK_DEPTH = 20
SHORTEST_WAIT_S = 0.001


class _Camera:
    """The topics of one camera, and what is said of it on /diagnostics."""

    def __init__(self, node: GscNode, topic: str) -> None:
        stream = topics.stream_topic(topic)
        self.topic = topic
        self.frames: Publisher = node.advertise(SemanticFrame, stream, output_qos())
        self.facts = StreamInfoPublisher(node.advertise(
            StreamInfo, topics.info_topic(stream), latched_qos()))
        self.counts: Counter[str] = Counter()
        self.counters = Counters(
            topic, ('pictures_in', 'encoded', 'replaced', 'bytes', 'acknowledged', 'refreshes'),
            rates=('encoded', 'bytes'),
            faults=('bad_pictures', 'over_budget', 'errors', 'refused_requests'),
            source=self.counts)


class EncoderNode(GscNode):
    """Sends the newest picture of each camera whenever the budget allows one; see ``Sender``."""

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_encoder', ENCODER)
        self.now_ns = time.monotonic_ns
        self._cameras: dict[str, _Camera] = {}
        self._worker: Worker | None = None
        # a step that outlasts deactivation is waited for
        self._turn, self._look_turn = Lock(), Lock()
        self._scenes: SceneWatcher | None = None
        self._describe: Describe | None = None
        self._encoder: SemanticEncoder | None = None
        self._sender: Sender[Header] | None = None

    def setup(self) -> None:
        """Load coder, detector and captioner; make the publishers."""
        from gsc_ros.encoder import SemanticEncoder

        values = self.parameters
        self.check_outputs('cameras', lambda camera: topics.decoded_topics(
            topics.stream_topic(camera)))  # they would meet at the base station
        self._encoder = SemanticEncoder(values['coder'], values['device'])
        if (values['detector'], values['caption_source']) != ('none', 'none'):
            from gsc_ros.scene.describe import load_describe
            self._describe = load_describe(values['detector'], values['caption_source'],
                                           values['device'], values['detector_confidence'])
        self._cameras = {topic: _Camera(self, topic) for topic in values['cameras']}

    def start(self) -> None:
        """Subscribe and start the threads."""
        assert self._encoder is not None
        if self._describe:
            self._scenes = SceneWatcher(
                self._describe, RefreshRule.from_parameters(self.parameters.values),
                lambda error: self.report('caption and objects', error), self._look_turn)
            self._scenes.start()
        self._sender = Sender(
            self._encoder, self._weights(), self._settings(), self._scenes,
            {topic: camera.counts for topic, camera in self._cameras.items()})
        self._worker = Worker('encode', self._step, lambda error: self.report('encode', error),
                              self._turn)
        self._worker.start()
        for camera in self._cameras.values():
            self._subscribe(camera)

    def _subscribe(self, camera: _Camera) -> None:
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
        if self._sender:
            self._sender.clear()

    def teardown(self) -> None:
        """Drop models and cameras."""
        self._cameras = {}
        self._sender = self._describe = self._encoder = None

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
        if self._sender:
            self._sender.change(self._settings())
        if self._worker:
            self._worker.notify()
        if self._scenes:
            self._scenes.rule = RefreshRule.from_parameters(self.parameters.values)

    def _weights(self) -> dict[str, float]:
        cameras, weights = self.parameters['cameras'], self.parameters['priorities']
        weights = weights * len(cameras) if len(weights) == 1 else weights
        return dict(zip(cameras, weights, strict=True))

    def _settings(self) -> SenderSettings:
        return SenderSettings.from_parameters(self.parameters.values)

    def _on_picture(self, camera: _Camera, msg: Image | CompressedImage) -> None:
        convert = picture_from_image if isinstance(msg, Image) else picture_from_compressed
        if self._sender and self._worker:
            self._sender.offer(camera.topic, Frame(partial(convert, msg), msg.header),
                               self.now_ns())
            self._worker.notify()

    def _on_camera_info(self, camera: _Camera, msg: CameraInfo) -> None:
        camera.facts.camera_info = msg

    def _on_feedback(self, camera: _Camera, msg: StreamFeedback) -> None:
        try:
            check_request(RequestKind.ROI, msg.roi)
        except InvalidInputError:
            camera.counters.add('refused_requests')
            raise
        if self._sender and self._worker:
            self._sender.tell(camera.topic, feedback_from_message(msg), self.now_ns())
            self._worker.notify()

    def _step(self) -> float | None:
        """Send one picture; else the seconds until one may go, None if there is none."""
        assert self._sender is not None
        turn = self._sender.next_turn(self.now_ns())
        if turn is not None:
            self._send(self._sender, turn)
            return 0.0
        next_ns = self._sender.next_ns
        return None if next_ns is None else max(
            SHORTEST_WAIT_S, (next_ns - self.now_ns()) / SECOND_NS)

    def _send(self, sender: Sender[Header], turn: Turn[Header]) -> None:
        """Encode and publish one picture; whatever goes wrong is counted and told."""
        started_ns = self.now_ns()
        try:
            outgoing = sender.encode(turn, started_ns)
        except Exception as error:
            self.report(f'{turn.camera}: {type(error).__name__}', error)
            return
        now_ns = self.now_ns()
        sender.sent(outgoing, now_ns)
        self._publish(outgoing)
        counters = self._cameras[turn.camera].counters
        counters.gauge('encode_ms', (now_ns - started_ns) / 1e6)
        counters.gauge('activity', sender.activity(turn.camera))
        counters.gauge('packet_bytes', len(outgoing.data))
        counters.gauge('caption', outgoing.scene.caption)

    def _publish(self, outgoing: Outgoing[Header]) -> None:
        camera = self._cameras[outgoing.camera]
        camera.frames.publish(SemanticFrame(header=outgoing.tag, data=outgoing.data))
        camera.facts.publish(outgoing.packet, outgoing.tag, self.parameters.values)


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(EncoderNode)


if __name__ == '__main__':
    main()
