"""The base station's node: packets in, pictures out, lazily."""
from __future__ import annotations

from collections import Counter
from functools import partial
import math
from threading import Lock, Thread
import time
from typing import NoReturn, TYPE_CHECKING

from gsc_msgs.msg import ObjectArray, SemanticFrame, StreamInfo, StreamRequest
from gsc_ros.models.assets import EMBEDDED
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import image_from_picture, object_array, scale_camera_info, stamp_ns
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import DECODER
from gsc_ros.receiver import Receiver, RefreshNeeded, Shown, View
from gsc_ros.runtime.worker import Worker
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture, SemanticDecoder

RELOAD_PERIOD_S = 60.0  # between attempts to load a generator that could not be loaded
GENERATE = {'auto': None, 'always': True, 'never': False}


class _Stream:
    """The topics of one stream, and what is said of it on /diagnostics."""

    def __init__(self, node: DecoderNode, topic: str) -> None:
        self.topic = topic
        names = topics.decoded_topics(topic)
        qos = output_qos()
        self.picture: Publisher = node.advertise(Image, names.picture, qos)
        self.plain: Publisher = node.advertise(Image, names.plain, qos)
        self.camera_info: Publisher = node.advertise(CameraInfo, names.camera_info, qos)
        self.caption: Publisher = node.advertise(String, names.caption, qos)
        self.objects: Publisher = node.advertise(ObjectArray, names.objects, qos)
        self.requests: Publisher = node.advertise(
            StreamRequest, topics.request_topic(topic), output_qos())
        self.counts: Counter[str] = Counter()
        self.counters = Counters(
            topic, ('packets', 'bytes', 'decoded', 'skipped', 'replaced', 'lost', 'late',
                    'missing_references', 'refresh_requests'),
            faults=('bad_packets', 'errors'), rates=('packets', 'bytes', 'decoded'),
            source=self.counts)
        self.info: StreamInfo | None = None

    @property
    def wanted(self) -> bool:
        return any(map(_wanted, (self.picture, self.plain, self.camera_info, self.caption,
                                 self.objects)))


def _wanted(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


class DecoderNode(GscNode):
    """
    Publishes the newest picture of each stream that has subscribers; see ``Receiver``.

    Packets of the others are kept as references for later ones.
    """

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_decoder', DECODER)
        self._streams: dict[str, _Stream] = {}
        self._worker: Worker | None = None
        self._turn = Lock()     # a step that outlasts deactivation is waited for
        self._decoder: SemanticDecoder | None = None
        self._receiver: Receiver[Header] | None = None
        self._loader: Thread | None = None
        self._load_from_s = 0.0

    def setup(self) -> None:
        """Load the decoder; make the publishers."""
        from gsc_ros.decoder import SemanticDecoder

        self.check_outputs('streams', topics.decoded_topics)
        self._streams = {topic: _Stream(self, topic) for topic in self.parameters['streams']}
        self._decoder = SemanticDecoder(self.parameters['device'], self.parameters['prior'])
        self._receiver = Receiver(self._decoder, self._streams, {
            topic: stream.counts for topic, stream in self._streams.items()},
            self.parameters['max_pixels'])
        if self.parameters['generate'] == 'never':
            return
        if self.parameters['prior'] == EMBEDDED:
            self._load()    # meanwhile plain pictures are shown
        else:
            self._decoder.preload()     # much may be wrong with it: the operator is told now
            self._gauge_generator('ready')

    def _load(self) -> None:
        """Load the generator in a thread of its own, again a while after a failure."""
        if self._loader is None and time.monotonic() >= self._load_from_s:
            self._load_from_s = math.inf
            self._loader = Thread(target=self._preload, name='load', args=(self._decoder,))
            self._loader.start()

    def _preload(self, decoder: SemanticDecoder) -> None:
        self._gauge_generator('loading')
        try:
            decoder.preload()
        except Exception as error:
            self._gauge_generator('failed')
            for stream in self._streams.values():
                stream.counters.add('errors')
            self.report('generator', error)
            self._loader, self._load_from_s = None, time.monotonic() + RELOAD_PERIOD_S
        else:
            self._gauge_generator('ready')

    def _gauge_generator(self, state: str) -> None:
        for stream in self._streams.values():
            stream.counters.gauge('generator', state)

    def start(self) -> None:
        """Subscribe and start the thread."""
        self._worker = Worker('decode', self._step, lambda error: self.report('decode', error),
                              self._turn)
        self._worker.start()
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        for topic, stream in self._streams.items():
            self.listen(SemanticFrame, topic, partial(self._on_frame, stream), qos)
            self.listen(StreamInfo, topics.info_topic(topic), partial(self._on_info, stream),
                        latched_qos())

    def stop(self) -> None:
        """End the thread."""
        if self._worker:
            self._worker.stop()
            self._worker = None
        if self._receiver:
            self._receiver.clear()

    def teardown(self) -> None:
        """Drop the decoder and the streams."""
        if loader := self._loader:
            loader.join()
        self._loader, self._load_from_s = None, 0.0
        self._streams = {}
        self._decoder = self._receiver = None

    def summary(self) -> str:
        """Streams and generation."""
        return f'{", ".join(self._streams)}, generate {self.parameters["generate"]}'

    def counters(self) -> list[Counters]:
        """One status per stream."""
        return [stream.counters for stream in self._streams.values()]

    def _on_info(self, stream: _Stream, msg: StreamInfo) -> None:
        stream.info = msg

    def _on_frame(self, stream: _Stream, msg: SemanticFrame) -> None:
        if self._receiver and self._worker:
            self._receiver.take(stream.topic, bytes(msg.data), stamp_ns(msg.header), msg.header)
            self._worker.notify()

    def _step(self) -> float | None:
        """Show the newest packet of one stream, follow those before it."""
        assert self._receiver is not None
        name = self._receiver.next_stream()
        if name is None:
            return None
        stream = self._streams[name]
        started_ns = time.monotonic_ns()
        for event in self._receiver.show(name, self._view(stream), started_ns):
            if isinstance(event, Shown):
                self._show(stream, event, started_ns)
            elif isinstance(event, RefreshNeeded):
                stream.requests.publish(StreamRequest(kind=StreamRequest.REFRESH))
            else:
                self.report(f'{name}: packet dropped', event.error)
        return 0.0

    def _view(self, stream: _Stream) -> View | None:
        """Return what subscribers want of the stream; None without subscribers."""
        if not stream.wanted:
            return None
        steps, seed = self.parameters['steps'], self.parameters['seed']
        crispness = self.parameters['crispness']
        return View(self._generate(stream), steps or None, None if seed < 0 else seed,
                    None if crispness < 0 else crispness, self.parameters['generate_pixels'])

    def _generate(self, stream: _Stream) -> bool | None:
        """Whether to regenerate, see ``SemanticDecoder.decode``; not before that can be done."""
        wanted = GENERATE[self.parameters['generate']] if _wanted(stream.picture) else False
        if wanted is not False and self._decoder and not self._decoder.ready:
            self._load()
            return False
        return wanted

    def _show(self, stream: _Stream, shown: Shown[Header], started_ns: int) -> None:
        """Publish a picture and what is known of it; see ``_publish``."""
        self._publish(stream, shown.decoded, shown.tag)
        counters = stream.counters
        counters.gauge('decode_ms', (time.monotonic_ns() - started_ns) / 1e6)
        counters.gauge('packet_bytes', shown.size)
        counters.gauge('caption', shown.decoded.caption)
        counters.gauge('generated', str(shown.decoded.regenerated is not None).lower())
        age_ns = self.get_clock().now().nanoseconds - stamp_ns(shown.tag)
        counters.gauge('latency_ms', age_ns / 1e6)

    def _publish(self, stream: _Stream, decoded: DecodedPicture, header: Header) -> None:
        """Pictures only where somebody subscribes, camera_info once the facts have come."""
        height, width = decoded.plain.shape[:2]
        if _wanted(stream.picture):
            stream.picture.publish(image_from_picture(decoded.picture, header))
        if _wanted(stream.plain):
            stream.plain.publish(image_from_picture(decoded.plain, header))
        if stream.info is not None:
            stream.camera_info.publish(
                scale_camera_info(stream.info.camera_info, width, height, header))
        stream.caption.publish(String(data=decoded.caption))
        stream.objects.publish(object_array(decoded.objects, width, height, header))


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(DecoderNode)


if __name__ == '__main__':
    main()
