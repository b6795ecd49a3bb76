"""The robot's end of the thin link: packets out, requests and acknowledgements back."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
import math
import secrets
import sys
import time
from typing import Any

from gsc_msgs.msg import SemanticFrame, StreamFeedback, StreamInfo
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.errors import GscError
from gsc_ros.link.session.control import Control
from gsc_ros.link.session.robot import Acked, RefreshNeeded, Requested, RobotEndpoint, StreamFacts
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.blobs import PICTURE_BYTES
from gsc_ros.link.wire.datagrams import Kind, Request
from gsc_ros.link.wire.stream_info import pack_info
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.info_messages import facts_from_info
from gsc_ros.nodes.lifecycle import run_node
from gsc_ros.nodes.link_end import LinkEndNode
from gsc_ros.nodes.messages import stamp_ns
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT
from rclpy.publisher import Publisher
from std_msgs.msg import Header

FEEDBACK_PERIOD_S = 1.0
FEEDBACK_DEPTH = 20
MOST_STAMPS = 64


class _Stream:
    """What the node keeps of one stream."""

    def __init__(self, node: LinkRobotNode, number: int, topic: str) -> None:
        topics.decoded_topics(topic)  # refuses a name that no decoder could take
        self.number, self.topic = number, topic
        self.publisher: Publisher = node.advertise(
            StreamFeedback, topics.feedback_topic(topic), output_qos(FEEDBACK_DEPTH))
        self.counters = Counters(topic, ('packets', 'bytes', 'acknowledged', 'refreshes'),
                                 faults=('bad_packets', 'refused_requests'),
                                 rates=('packets', 'bytes', 'acknowledged'))
        self.control = Control()
        self.frame_id: str | None = None
        self.info = b''
        self.acknowledged: list[int] = []
        self.stamps: OrderedDict[int, int] = OrderedDict()  # of packets offered lately
        self.refresh = False

    def offered(self, sequence: int, stamp: int) -> None:
        self.stamps[sequence] = stamp
        if len(self.stamps) > MOST_STAMPS:
            self.stamps.popitem(last=False)

    @property
    def facts(self) -> StreamFacts:
        return StreamFacts(self.topic, self.frame_id or '', self.info)


class LinkRobotNode(LinkEndNode[RobotEndpoint]):
    """Sends all cameras' streams; tells their encoder what the base station has and wants."""

    def __init__(self) -> None:
        """Make the node; nothing is opened before configure."""
        super().__init__('gsc_link_robot', LINK_ROBOT)
        self._streams: list[_Stream] = []
        self._timer: Any = None
        self._fragment_bytes = self._overhead_bytes = 0

    def link_settings(self, **common: Any) -> LinkSettings:
        """Take what the robot alone decides."""
        values = self.parameters
        return LinkSettings(
            **common, floor=math.ceil(values['floor'] * values['bytes_per_second']),
            adapt=values['adapt'], fec=values['fec'], stale_ns=int(values['stale'] * 1e9),
            report_period_ns=int(LINK_BASE['report_period'].default * 1e9))

    def make_endpoint(self, settings: LinkSettings) -> RobotEndpoint:
        """Make the robot's end; a new number for each start tells the base station of it."""
        # Stamp and number are counted in each fragment: a few bytes too many rather than too few.
        self._fragment_bytes = settings.room(Kind.DATA) - PICTURE_BYTES
        self._overhead_bytes = (settings.largest_datagram - self._fragment_bytes
                                + settings.overhead_bytes)
        return RobotEndpoint(settings, boot=secrets.randbits(32))

    def setup(self) -> None:
        """Open the link; make the publishers."""
        super().setup()
        self._streams = [_Stream(self, number, topic)
                         for number, topic in enumerate(self.parameters['streams'])]

    def start(self) -> None:
        """Start the link; subscribe."""
        super().start()
        for stream in self._streams:
            self._subscribe(stream)
        self._timer = self.create_timer(FEEDBACK_PERIOD_S, self._publish_all)

    def _subscribe(self, stream: _Stream) -> None:
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        self.listen(SemanticFrame, stream.topic, partial(self._on_frame, stream), qos)
        self.listen(StreamInfo, topics.info_topic(stream.topic), partial(self._on_info, stream),
                    latched_qos())

    def stop(self) -> None:
        """End the link."""
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None
        super().stop()

    def teardown(self) -> None:
        """Forget the streams."""
        self._streams = []
        super().teardown()

    def summary(self) -> str:
        """Streams and link."""
        return f'{", ".join(self.parameters["streams"])} -> {self.parameters["link"]}'

    def counters(self) -> list[Counters]:
        """One status for the link and one for each stream."""
        return [self.link_counters, *(stream.counters for stream in self._streams)]

    def _on_frame(self, stream: _Stream, msg: SemanticFrame) -> None:
        """Offer a packet to the link; describe its stream before the first."""
        if stream.frame_id != msg.header.frame_id:
            stream.frame_id = msg.header.frame_id
            self._describe(stream)
        try:
            self._offer(stream, bytes(msg.data), stamp_ns(msg.header))
        except GscError as error:
            stream.counters.add('bad_packets')
            self.report(f'{stream.topic}: packet dropped', error)

    def _offer(self, stream: _Stream, data: bytes, stamp: int) -> None:
        sequence = unpack(data).sequence
        if self.io:
            with self.io.use() as end:
                end.offer(stream.number, sequence, stamp, data, time.monotonic_ns())
            stream.offered(sequence, stamp)
            stream.counters.add('packets')
            stream.counters.add('bytes', len(data))

    def _on_info(self, stream: _Stream, msg: StreamInfo) -> None:
        stream.info = pack_info(facts_from_info(msg))
        stream.frame_id = msg.header.frame_id
        self._describe(stream)

    def _describe(self, stream: _Stream) -> None:
        if self.io:
            with self.io.use() as end:
                end.describe(stream.number, stream.facts)

    def on_events(self, events: Sequence[Any]) -> None:
        """Note what the base station has and wants, and tell the encoders at once."""
        for event in events:
            with self.guard(type(event).__name__):
                self._note(event)
        self._publish_all()

    def _note(self, event: Any) -> None:
        if isinstance(event, Acked):
            stream = self._streams[event.stream_id]
            stream.acknowledged.append(event.sequence)
            stream.counters.add('acknowledged')
            if event.sequence in stream.stamps:
                self.saw(stream.stamps.pop(event.sequence))
        elif isinstance(event, RefreshNeeded):
            self._refresh(self._streams[event.stream_id])
        elif isinstance(event, Requested):
            self._obey(event.request)

    def _obey(self, request: Request) -> None:
        wanted = self._streams if request.stream_id is None else [
            stream for stream in self._streams if stream.number == request.stream_id]
        for stream in wanted:
            try:
                stream.control = stream.control.after(request.kind, request.values)
            except GscError as error:
                stream.counters.add('refused_requests')
                self.report(f'{stream.topic}: request refused', error)

    @staticmethod
    def _refresh(stream: _Stream) -> None:
        stream.acknowledged.clear()
        stream.refresh = True
        stream.counters.add('refreshes')

    def _publish_all(self) -> None:
        if not self.io:
            return
        with self.io.use(wake=False) as end:
            allowed = end.allowed_rate
        for stream in self._streams:
            self._publish(stream, allowed)

    def _publish(self, stream: _Stream, allowed: int) -> None:
        control = stream.control
        stream.publisher.publish(StreamFeedback(
            header=Header(stamp=self.get_clock().now().to_msg()),
            acknowledged=stream.acknowledged, refresh=stream.refresh, paused=control.paused,
            bytes_per_second=allowed, overhead_bytes=self._overhead_bytes,
            fragment_bytes=self._fragment_bytes, rate=control.rate, quality=control.quality,
            roi=control.roi, priority=control.priority))
        stream.acknowledged, stream.refresh = [], False


def main() -> int:
    """Run the node until it is told to stop."""
    return run_node(LinkRobotNode)


if __name__ == '__main__':
    sys.exit(main())
