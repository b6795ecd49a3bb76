"""The robot's end of the thin link: packets out, requests and acknowledgements back."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
import math
import secrets
import time
from typing import Any, NoReturn

from gsc_msgs.msg import SemanticFrame, StreamFeedback, StreamInfo
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.errors import GscError
from gsc_ros.link.feedback import Feedback
from gsc_ros.link.robot_feedback import RobotFeedback
from gsc_ros.link.session.robot import RobotEndpoint, StreamFacts
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.stream_info import pack_info
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.info_messages import facts_from_info
from gsc_ros.nodes.link_end import LinkEndNode
from gsc_ros.nodes.messages import stamp_ns
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from std_msgs.msg import Header

FEEDBACK_PERIOD_S = 1.0
FEEDBACK_DEPTH = 20


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
        self.frame_id: str | None = None
        self.info = b''

    @property
    def facts(self) -> StreamFacts:
        return StreamFacts(self.topic, self.frame_id or '', self.info)


class LinkRobotNode(LinkEndNode[RobotEndpoint]):
    """Sends all cameras' streams; tells their encoder what the base station has and wants."""

    def __init__(self) -> None:
        """Make the node; nothing is opened before configure."""
        super().__init__('gsc_link_robot', LINK_ROBOT)
        self._streams: list[_Stream] = []
        self._timer: Timer | None = None
        self._feedback: RobotFeedback | None = None

    def link_settings(self, **common: Any) -> LinkSettings:
        """Take what the robot alone decides."""
        values = self.parameters
        return LinkSettings(
            **common, floor=math.ceil(values['floor'] * values['bytes_per_second']),
            adapt=values['adapt'], fec=values['fec'], stale_ns=int(values['stale'] * 1e9),
            report_period_ns=int(LINK_BASE['report_period'].default * 1e9))

    def make_endpoint(self, settings: LinkSettings) -> RobotEndpoint:
        """Make the robot's end; a new number for each start tells the base station of it."""
        self._feedback = RobotFeedback(settings, (stream.number for stream in self._streams))
        return RobotEndpoint(settings, boot=secrets.randbits(64))

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
            if self._feedback:
                self._feedback.streams[stream.number].offered(sequence, stamp)
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
        if self._feedback is None:
            return
        for event in events:
            with self.guard(type(event).__name__):
                for number, error in self._feedback.note(event):
                    self.report(f'{self._streams[number].topic}: request refused', error)
        self.newest_stamp_ns = self._feedback.newest_stamp_ns
        self._publish_all()

    def _publish_all(self) -> None:
        if not self.io or not self._feedback:
            return
        with self.io.use(wake=False) as end:
            allowed = end.allowed_rate
        for stream in self._streams:
            for name, count in self._feedback.streams[stream.number].counters.items():
                stream.counters.set(name, count)
            self._publish(stream, self._feedback.take(stream.number, allowed))

    def _publish(self, stream: _Stream, feedback: Feedback) -> None:
        limits, control = feedback.limits, feedback.limits.control
        stream.publisher.publish(StreamFeedback(
            header=Header(stamp=self.get_clock().now().to_msg()),
            acknowledged=feedback.acknowledged, refresh=feedback.refresh, paused=control.paused,
            bytes_per_second=limits.bytes_per_second, overhead_bytes=limits.overhead_bytes,
            fragment_bytes=limits.fragment_bytes, rate=control.rate, quality=control.quality,
            roi=control.roi, priority=control.priority))


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(LinkRobotNode)


if __name__ == '__main__':
    main()
