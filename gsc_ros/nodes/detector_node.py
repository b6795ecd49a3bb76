"""Finds objects in decoded pictures: boxes, labels and an overlay picture, lazily."""
from __future__ import annotations

from functools import partial
from threading import Lock
import time
from typing import NoReturn, TYPE_CHECKING

from gsc_msgs.msg import ObjectArray
from gsc_ros.codec.errors import GscError
from gsc_ros.media.images import picture_from_image
from gsc_ros.media.overlay import draw_objects
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import (
    DETECTION_ARRAY,
    detection_array,
    image_from_picture,
    object_array,
)
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import DETECTOR
from gsc_ros.runtime.worker import LatestSlots, Worker
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import Image

if TYPE_CHECKING:
    from gsc_ros.scene.detector import Detector

LOOK_PERIOD_S = 0.5  # how often subscribers of the outputs are counted


class _Input:
    """What the node keeps of one image topic."""

    def __init__(self, node: DetectorNode, topic: str) -> None:
        names = topics.detected_topics(topic)
        qos = output_qos()
        self.topic = topic
        self.objects: Publisher = node.advertise(ObjectArray, names.objects, qos)
        self.overlay: Publisher = node.advertise(Image, names.overlay, qos)
        self.detections: Publisher | None = None
        if DETECTION_ARRAY is not None:
            self.detections = node.advertise(DETECTION_ARRAY, names.detections, qos)
        self.subscription: Subscription | None = None
        self.counters = Counters(topic, ('pictures_in', 'analysed', 'objects', 'replaced'),
                                 faults=('bad_pictures', 'errors'), rates=('analysed',))

    @property
    def publishers(self) -> list[Publisher]:
        outputs = (self.objects, self.overlay, self.detections)
        return [publisher for publisher in outputs if publisher is not None]

    @property
    def wanted(self) -> bool:
        return any(publisher.get_subscription_count() for publisher in self.publishers)


class DetectorNode(GscNode):
    """Analyses the newest picture of each topic whose results have subscribers."""

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_detector', DETECTOR)
        self._inputs: dict[str, _Input] = {}
        self._slots: LatestSlots[Image] = LatestSlots()
        self._worker: Worker | None = None
        self._turn = Lock()     # a step that outlasts deactivation is waited for
        self._timer: Timer | None = None
        self._detector: Detector | None = None
        self._next_ns = 0

    def setup(self) -> None:
        """Load the detector; make the publishers."""
        from gsc_ros.scene.detector import load_detector

        values = self.parameters
        self.check_outputs('images', topics.detected_topics)
        source = {} if values['detector'] == 'auto' else {'source': values['detector']}
        self._detector = load_detector(device=values['device'], confidence=values['confidence'],
                                       **source)
        self._inputs = {topic: _Input(self, topic) for topic in values['images']}

    def start(self) -> None:
        """Start the thread and watch for subscribers."""
        self._worker = Worker('detect', self._step, lambda error: self.report('detect', error),
                              self._turn)
        self._worker.start()
        self._timer = self.create_timer(LOOK_PERIOD_S, self._look)

    def _look(self) -> None:
        """Subscribe to pictures only while results have subscribers: the decoder may idle."""
        with self.guard('subscribe'):
            for source in self._inputs.values():
                if source.wanted and source.subscription is None:
                    self._subscribe(source)
                elif not source.wanted and source.subscription is not None:
                    self.unsubscribe(source.subscription)
                    source.subscription = None

    def _subscribe(self, source: _Input) -> None:
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        source.subscription = self.listen(Image, source.topic, partial(self._on_picture, source),
                                          qos)

    def stop(self) -> None:
        """End the thread."""
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None
        for source in self._inputs.values():
            source.subscription = None
        if self._worker:
            self._worker.stop()
            self._worker = None
        self._slots.clear()

    def teardown(self) -> None:
        """Drop the detector."""
        self._inputs = {}
        self._detector = None

    def summary(self) -> str:
        """Weights and topics."""
        return f'{", ".join(self._inputs)}, detector {self._weights}'

    @property
    def _weights(self) -> str:
        return self._detector.name if self._detector else 'none'

    def counters(self) -> list[Counters]:
        """One status per image topic."""
        return [source.counters for source in self._inputs.values()]

    def refresh_gauges(self) -> None:
        """Say which weights run."""
        for source in self._inputs.values():
            source.counters.gauge('detector', self._weights)

    def _on_picture(self, source: _Input, msg: Image) -> None:
        source.counters.add('pictures_in')
        if self._slots.put(source.topic, msg):
            source.counters.add('replaced')
        if self._worker:
            self._worker.notify()

    def _step(self) -> float | None:
        if not self._slots.keys():
            return None
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns:
            return (self._next_ns - now_ns) / 1e9
        self._next_ns = now_ns + int(1e9 / self.parameters['max_rate'])
        taken = self._slots.take_any()
        if taken is not None and self._detector is not None:
            self._handle(self._detector, self._inputs[taken[0]], taken[1])
        return 0.0

    def _handle(self, detector: Detector, source: _Input, msg: Image) -> None:
        try:
            self._analyse(detector, source, msg)
        except GscError as error:
            source.counters.add('bad_pictures')
            self.report(f'{source.topic}: picture dropped', error)
        except Exception as error:
            source.counters.add('errors')
            self.report(f'{source.topic}: detect', error)

    @staticmethod
    def _analyse(detector: Detector, source: _Input, msg: Image) -> None:
        started_ns = time.monotonic_ns()
        picture = picture_from_image(msg)
        objects = detector.detect(picture)
        height, width = picture.shape[:2]
        source.objects.publish(object_array(objects, width, height, msg.header))
        if source.detections is not None:
            source.detections.publish(detection_array(objects, width, height, msg.header))
        if source.overlay.get_subscription_count():
            overlay = draw_objects(picture, objects)
            source.overlay.publish(image_from_picture(overlay, msg.header))
        source.counters.add('analysed')
        source.counters.add('objects', len(objects))
        source.counters.gauge('detect_ms', (time.monotonic_ns() - started_ns) / 1e6)


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(DetectorNode)


if __name__ == '__main__':
    main()
