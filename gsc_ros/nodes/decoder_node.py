"""The base station's node: packets in, pictures out, lazily."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import math
import sys
from threading import Lock, Thread
import time
from typing import Any, TYPE_CHECKING

from gsc_msgs.msg import ObjectArray, SemanticFrame, StreamInfo, StreamRequest
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.errors import GscError
from gsc_ros.codec.references import MissingReferenceError, ReceiverReferences
from gsc_ros.media.images import image_from_picture
from gsc_ros.models.assets import EMBEDDED
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode, run_node
from gsc_ros.nodes.messages import object_array, scale_camera_info, stamp_ns
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import DECODER
from gsc_ros.runtime.worker import Backlogs, Worker
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture
    from gsc_ros.prior.steady import LastPicture

SEQUENCES = 1 << 16
MOST_WAITING = 32  # packets of one stream
REFRESH_PERIOD_NS = 1_000_000_000
LARGEST_GAP = 1000  # a larger jump of the sequence is a restarted encoder, not loss
MOST_LATE = 4       # packets that may overtake one; more is a restarted encoder or a bag in a loop
RELOAD_PERIOD_S = 60.0  # between attempts to load a generator that could not be loaded
GENERATE = {'auto': None, 'always': True, 'never': False}


class _Stream:
    """What the node keeps of one stream."""

    def __init__(self, node: DecoderNode, topic: str) -> None:
        self.topic = topic
        self.last: LastPicture | None = None    # from the first regenerated picture on
        names = topics.decoded_topics(topic)
        qos = output_qos()
        self.picture: Publisher = node.advertise(Image, names.picture, qos)
        self.plain: Publisher = node.advertise(Image, names.plain, qos)
        self.camera_info: Publisher = node.advertise(CameraInfo, names.camera_info, qos)
        self.caption: Publisher = node.advertise(String, names.caption, qos)
        self.objects: Publisher = node.advertise(ObjectArray, names.objects, qos)
        self.requests: Publisher = node.advertise(
            StreamRequest, topics.request_topic(topic), output_qos())
        self.counters = Counters(
            topic, ('packets', 'bytes', 'decoded', 'skipped', 'replaced', 'lost', 'late',
                    'missing_references', 'refresh_requests'),
            faults=('bad_packets', 'errors'), rates=('packets', 'bytes', 'decoded'))
        self.references = ReceiverReferences()
        self.sequence: int | None = None    # of the newest packet, with the time of its picture
        self.taken_ns = 0
        self.info: StreamInfo | None = None
        self._refresh_ns: int | None = None

    def request_refresh(self, now_ns: int) -> None:
        """Ask the robot for a packet that stands alone, once in a while."""
        if self._refresh_ns is None or now_ns - self._refresh_ns >= REFRESH_PERIOD_NS:
            self._refresh_ns = now_ns
            self.requests.publish(StreamRequest(kind=StreamRequest.REFRESH))
            self.counters.add('refresh_requests')

    @property
    def wanted(self) -> bool:
        return any(map(_wanted, (self.picture, self.plain, self.camera_info, self.caption,
                                 self.objects)))


def _wanted(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


@dataclass(frozen=True)
class _Frame:
    """A packet that can be read, the header of its picture, whether a newer one came first."""

    header: Header
    data: bytes
    late: bool


class DecoderNode(GscNode):
    """
    Decodes the newest packet of each stream that somebody looks at.

    Of the others it takes what later packets may refer to.
    """

    def __init__(self) -> None:
        """Make the node; nothing is loaded before configure."""
        super().__init__('gsc_decoder', DECODER)
        self._streams: dict[str, _Stream] = {}
        self._backlogs: Backlogs[_Frame] = Backlogs(MOST_WAITING)
        self._worker: Worker | None = None
        self._turn = Lock()     # a step that outlasts deactivation is waited for
        self._decoder: Any = None
        self._loader: Thread | None = None
        self._load_from_s = 0.0

    def setup(self) -> None:
        """Load the decoder; make the publishers."""
        from gsc_ros.decoder import SemanticDecoder

        self._streams = {topic: _Stream(self, topic) for topic in self.parameters['streams']}
        self._decoder = SemanticDecoder(self.parameters['device'], self.parameters['prior'])
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
            self._loader = Thread(target=self._preload, name='load')
            self._loader.start()

    def _preload(self) -> None:
        self._gauge_generator('loading')
        try:
            self._decoder.preload()
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
        self._backlogs.clear()

    def teardown(self) -> None:
        """Drop the decoder and the streams."""
        if loader := self._loader:
            loader.join()
        self._loader, self._load_from_s = None, 0.0
        self._streams = {}
        self._decoder = None

    def summary(self) -> str:
        """Streams and generation."""
        return f'{", ".join(self._streams)}, generate {self.parameters["generate"]}'

    def counters(self) -> list[Counters]:
        """One status per stream."""
        return [stream.counters for stream in self._streams.values()]

    def _on_info(self, stream: _Stream, msg: StreamInfo) -> None:
        stream.info = msg

    def _on_frame(self, stream: _Stream, msg: SemanticFrame) -> None:
        """Count and check every packet."""
        data = bytes(msg.data)
        stream.counters.add('packets')
        stream.counters.add('bytes', len(data))
        try:
            sequence = unpack(data).sequence
        except GscError as error:
            self._bad(stream, error)
            return
        late = self._count_lost(stream, sequence, stamp_ns(msg.header))
        if self._backlogs.put(stream.topic, _Frame(msg.header, data, late)):
            stream.counters.add('replaced')
        if self._worker:
            self._worker.notify()

    def _bad(self, stream: _Stream, error: GscError) -> None:
        stream.counters.add('bad_packets')
        self.report(f'{stream.topic}: packet dropped', error)

    @staticmethod
    def _count_lost(stream: _Stream, sequence: int, taken_ns: int) -> bool:
        """Count the packets between the newest one and this, and tell if this one is older."""
        if stream.sequence is not None:
            behind = (stream.sequence - sequence) % SEQUENCES
            if 0 < behind <= MOST_LATE and taken_ns < stream.taken_ns:
                stream.counters.add('late')
                return True
            gap = (sequence - stream.sequence - 1) % SEQUENCES
            if gap < LARGEST_GAP:
                stream.counters.add('lost', gap)
        stream.sequence, stream.taken_ns = sequence, taken_ns
        return False

    def _step(self) -> float | None:
        """Decode the newest packet of one stream; follow those before it."""
        taken = self._backlogs.take_any()
        if taken is None:
            return None
        stream = self._streams[taken[0]]
        *older, newest = taken[1]
        for frame in older:
            stream.counters.add('replaced')
            self._handle(stream, frame, self._follow)
        if newest.late:
            self._handle(stream, newest, self._follow)
        elif stream.wanted:
            self._handle(stream, newest, self._decode)
        else:
            stream.counters.add('skipped')
            self._handle(stream, newest, self._follow)
        return 0.0

    def _handle(self, stream: _Stream, frame: _Frame,
                action: Callable[[_Stream, _Frame], None]) -> None:
        try:
            action(stream, frame)
        except MissingReferenceError:  # no fault: the packet that it refers to was lost
            stream.counters.add('missing_references')
            stream.request_refresh(time.monotonic_ns())
        except GscError as error:
            self._bad(stream, error)
        except Exception as error:
            stream.counters.add('errors')
            self.report(f'{stream.topic}: decode', error)

    def _follow(self, stream: _Stream, frame: _Frame) -> None:
        self._decoder.follow(frame.data, stream.references)

    def _decode(self, stream: _Stream, frame: _Frame) -> None:
        """Decode a packet; publish as much of it as has subscribers."""
        started_ns = time.monotonic_ns()
        generate = self._generate(stream)
        steps, seed = self.parameters['steps'], self.parameters['seed']
        crispness = self.parameters['crispness']
        decoded = self._decoder.decode(
            frame.data, steps=steps or None, seed=None if seed < 0 else seed, generate=generate,
            references=stream.references, last=stream.last,
            crispness=None if crispness < 0 else crispness)
        self._publish(stream, decoded, frame.header)
        stream.counters.add('decoded')
        stream.counters.gauge('decode_ms', (time.monotonic_ns() - started_ns) / 1e6)
        stream.counters.gauge('packet_bytes', len(frame.data))
        stream.counters.gauge('caption', decoded.caption)
        stream.counters.gauge('generated', str(decoded.regenerated is not None).lower())
        age_ns = self.get_clock().now().nanoseconds - stamp_ns(frame.header)
        stream.counters.gauge('latency_ms', age_ns / 1e6)

    def _generate(self, stream: _Stream) -> bool | None:
        """Whether to regenerate, see ``SemanticDecoder.decode``; not before that can be done."""
        wanted = GENERATE[self.parameters['generate']] if _wanted(stream.picture) else False
        if wanted is False:
            return False
        if not self._decoder.ready:
            self._load()
            return False
        if stream.last is None:
            from gsc_ros.prior.steady import LastPicture
            stream.last = LastPicture()
        return wanted

    def _publish(self, stream: _Stream, decoded: DecodedPicture, header: Header) -> None:
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


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(DecoderNode)


if __name__ == '__main__':
    sys.exit(main())
