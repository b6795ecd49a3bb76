"""The base station's end of the thin link: the robot's streams come out, requests go in."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
import secrets
import time
from typing import Any, NoReturn

from gsc_msgs.msg import SemanticFrame, StreamInfo, StreamRequest
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.link.session.base import BaseEndpoint, Facts, Picture, Restarted, StreamFacts
from gsc_ros.link.session.control import check_request
from gsc_ros.link.session.events import Expired
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.datagrams import Request
from gsc_ros.link.wire.stream_info import unpack_info
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.info_messages import info_from_facts
from gsc_ros.nodes.link_end import LinkEndNode
from gsc_ros.nodes.messages import stamp_from_ns
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT, MAX_STREAMS
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from std_msgs.msg import Header

REQUEST_DEPTH = 10


class _Stream:
    """What the node keeps of one stream of the robot."""

    def __init__(self, node: LinkBaseNode, name: str) -> None:
        self.name = name
        self.number: int | None = None  # in the robot's present run, once it has told
        topic = topics.linked_topic(node.parameters['prefix'], name)
        topics.decoded_topics(topic)  # refuses a name that no decoder could take
        self.frames: Publisher = node.advertise(SemanticFrame, topic, output_qos())
        self.infos: Publisher = node.advertise(
            StreamInfo, topics.info_topic(topic), latched_qos())
        self.requests: Subscription = node.listen(
            StreamRequest, topics.request_topic(topic), partial(node.on_request, self),
            output_qos(REQUEST_DEPTH))
        self.info = b''
        self.counters = Counters(topic, ('pictures', 'bytes', 'requests'),
                                 faults=('refused_requests', 'expired_requests'),
                                 rates=('pictures', 'bytes'))


class LinkBaseNode(LinkEndNode[BaseEndpoint]):
    """Publishes whatever streams the robot announces, under a prefix."""

    def __init__(self) -> None:
        """Make the node; nothing is opened before configure."""
        super().__init__('gsc_link_base', LINK_BASE)
        self._streams: dict[str, _Stream] = {}
        self._unnamed: dict[int, Picture] = {}

    def link_settings(self, **common: Any) -> LinkSettings:
        """Take what the base station alone decides; it sends nothing but control."""
        return LinkSettings(
            **common, floor=common['bytes_per_second'], adapt=False, fec='off',
            stale_ns=int(LINK_ROBOT['stale'].default * 1e9),
            report_period_ns=int(self.parameters['report_period'] * 1e9))

    def make_endpoint(self, settings: LinkSettings) -> BaseEndpoint:
        """Make the base station's end; a new number for each start tells the robot of it."""
        offset_ns = self.get_clock().now().nanoseconds - time.monotonic_ns()
        return BaseEndpoint(settings, boot=secrets.randbits(64), wall_offset_ns=offset_ns)

    def stop(self) -> None:
        """End the link; forget the streams."""
        super().stop()
        streams, self._streams, self._unnamed = self._streams, {}, {}
        for stream in streams.values():
            self._drop(stream)

    def _drop(self, stream: _Stream) -> None:
        self.withdraw(stream.frames)
        self.withdraw(stream.infos)
        self.unsubscribe(stream.requests)

    def summary(self) -> str:
        """Link and prefix."""
        return f'{self.parameters["link"]} -> {self.parameters["prefix"]}/'

    def counters(self) -> list[Counters]:
        """One status for the link and one for each stream that was announced."""
        return [self.link_counters, *(stream.counters for stream in self._streams.values())]

    def on_events(self, events: Sequence[Any]) -> None:
        """Publish what has come."""
        for event in events:
            with self.guard(type(event).__name__):
                if isinstance(event, Picture):
                    self._on_picture(event)
                elif isinstance(event, Facts):
                    self._on_facts(event.stream_id, event.facts)
                elif isinstance(event, Restarted):
                    self._on_restart()
                elif isinstance(event, Expired):
                    self._on_expired(event)

    def _on_restart(self) -> None:
        """Forget which number is which camera, until the robot tells again."""
        self._unnamed.clear()
        for stream in self._streams.values():
            stream.number = None

    def _on_expired(self, event: Expired) -> None:
        """Tell whoever asked for it that a request was not confirmed."""
        for stream in self._streams.values():
            if event.request.stream_id in (None, stream.number):
                stream.counters.add('expired_requests')
                self.report(stream.name, GscError(str(event)))

    def _on_picture(self, picture: Picture) -> None:
        """Publish a picture, or keep it until its stream is announced."""
        if picture.facts is None:
            if picture.stream_id < MAX_STREAMS:
                self._unnamed[picture.stream_id] = picture
            return
        stream = self._stream(picture.stream_id, picture.facts)
        header = Header(frame_id=picture.facts.frame_id, stamp=stamp_from_ns(picture.stamp_ns))
        stream.frames.publish(SemanticFrame(header=header, data=picture.packet))
        stream.counters.add('pictures')
        stream.counters.add('bytes', len(picture.packet))
        stream.counters.gauge('age_ms', (self.get_clock().now().nanoseconds
                                         - picture.stamp_ns) / 1e6)
        self.saw(picture.stamp_ns)

    def _on_facts(self, number: int, facts: StreamFacts) -> None:
        """Publish a stream's facts if they are news, then the picture that waited for them."""
        stream = self._stream(number, facts)
        if facts.info and facts.info != stream.info:
            stamp = self.get_clock().now().to_msg()
            stream.infos.publish(info_from_facts(
                unpack_info(facts.info), Header(stamp=stamp, frame_id=facts.frame_id)))
            stream.info = facts.info
        waiting = self._unnamed.pop(number, None)
        if waiting is not None:
            self._on_picture(replace(waiting, facts=facts))

    def _stream(self, number: int, facts: StreamFacts) -> _Stream:
        """Return the stream of that name, which has that number now."""
        stream = self._streams.get(facts.name)
        if stream is not None and stream.number == number:
            return stream
        if number >= MAX_STREAMS:
            raise InvalidInputError('stream number', number, f'below {MAX_STREAMS}')
        self._make_room(number, facts.name)
        if stream is None:
            stream = self._streams[facts.name] = _Stream(self, facts.name)
        stream.number = number
        self.get_logger().info(f'stream {number}: {facts.name}')
        return stream

    def _make_room(self, number: int, wanted: str) -> None:
        """Drop the stream that had that number, and what no run tells of where there are many."""
        for name, other in list(self._streams.items()):
            full = len(self._streams) >= MAX_STREAMS and other.number is None
            if name != wanted and (other.number == number or full):
                self._drop(self._streams.pop(name))

    def on_request(self, stream: _Stream, msg: StreamRequest) -> None:
        """Hand a request to the link, which repeats it until the robot has it."""
        stream.counters.add('requests')
        try:
            kind = check_request(msg.kind, msg.values)
            if stream.number is None:
                raise InvalidInputError('stream', stream.name, 'what the robot has announced '
                                        'since it was started again')
        except GscError as error:
            stream.counters.add('refused_requests')
            self.report(f'{stream.name}: request refused', error)
            return
        if self.io:
            with self.io.use() as end:
                end.request(Request(stream.number, kind, tuple(msg.values)), time.monotonic_ns())


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(LinkBaseNode)


if __name__ == '__main__':
    main()
