"""Carries packets between topics of one machine as slowly and lossily as a thin link would."""
from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from gsc_msgs.msg import SemanticFrame, StreamInfo
from gsc_ros.link.emulator import Line
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import input_qos, latched_qos, output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import LINK
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message

SHORTEST_WAIT_NS = 1_000_000
IDLE_PERIOD_S = 1.0


class LinkNode(GscNode):
    """Relays streams under a prefix; a stream's facts are never lost but cost their bytes."""

    def __init__(self) -> None:
        """Make the node."""
        super().__init__('gsc_link', LINK)
        self._frames: dict[str, Publisher] = {}
        self._infos: dict[str, Publisher] = {}
        self._timer: Any = None
        self._line: Line[tuple[Publisher, Any]] | None = None
        self._counters = Counters(
            'link', ('packets_in', 'bytes_in', 'packets_out', 'bytes_out'),
            rates=('bytes_in', 'bytes_out'))

    def setup(self) -> None:
        """Make the publishers."""
        for stream in self.parameters['streams']:
            topics.decoded_topics(stream)  # refuses a name that no decoder could take
            linked = topics.linked_topic(self.parameters['prefix'], stream)
            self._frames[stream] = self.advertise(SemanticFrame, linked, output_qos())
            self._infos[stream] = self.advertise(
                StreamInfo, topics.info_topic(linked), latched_qos())

    def start(self) -> None:
        """Subscribe; the link starts empty."""
        self._line = Line(self._settings(), self.parameters['seed'], self._now_ns())
        # The node's clock, so that the link follows simulated time where that is used.
        self._timer = self.create_timer(IDLE_PERIOD_S, self._deliver)
        self._timer.cancel()
        qos = input_qos(self.parameters['reliability'], self.parameters['depth'])
        for stream in self.parameters['streams']:
            self.listen(SemanticFrame, stream, partial(self._on_frame, stream), qos)
            self.listen(StreamInfo, topics.info_topic(stream), partial(self._on_info, stream),
                        latched_qos())

    def stop(self) -> None:
        """Stop the clock; what is under way is gone."""
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None
        self._line = None

    def teardown(self) -> None:
        """Forget the publishers."""
        self._frames, self._infos = {}, {}

    def summary(self) -> str:
        """Streams and speed."""
        values = self.parameters
        return (f'{", ".join(self._frames)} -> {values["prefix"]}/, {values["kbps"]} kbit/s, '
                f'{values["delay_ms"]} ms, loss {values["loss"]}')

    def counters(self) -> list[Counters]:
        """One status for the link."""
        return [self._counters]

    def refresh_gauges(self) -> None:
        """Report what the link itself counts."""
        if self._line:
            self._counters.gauge('kbps', float(self.parameters['kbps']))
            for name, value in self._line.counts.items():
                self._counters.gauge(name, str(value))
            self._counters.gauge('queued_bytes', str(self._line.queued_bytes))

    def parameters_changed(self) -> None:
        """Take a new speed, delay, loss or queue; the packet on the link keeps its time."""
        if self._line:
            self._line.settings = self._settings()

    def _settings(self) -> LineSettings:
        values = self.parameters
        return LineSettings(
            values['kbps'], delay_s=values['delay_ms'] / 1e3, loss=values['loss'],
            queue_bytes=values['queue_bytes'], header_bytes=values['overhead_bytes'])

    def _on_frame(self, stream: str, msg: SemanticFrame) -> None:
        self._counters.add('packets_in')
        self._counters.add('bytes_in', len(msg.data))
        self._offer(self._frames[stream], msg, len(msg.data), precious=False)

    def _on_info(self, stream: str, msg: StreamInfo) -> None:
        self._offer(self._infos[stream], msg, len(serialize_message(msg)), precious=True)

    def _offer(self, publisher: Publisher, msg: Any, size: int, *, precious: bool) -> None:
        if self._line:
            self._line.offer((publisher, msg), size, self._now_ns(), precious=precious)
            self._set_timer()

    def _deliver(self) -> None:
        with self.guard('deliver'):
            if self._line is None:
                return
            for publisher, msg in self._line.arrived(self._now_ns()):
                publisher.publish(msg)
                if isinstance(msg, SemanticFrame):
                    self._counters.add('packets_out')
                    self._counters.add('bytes_out', len(msg.data))
            self._set_timer()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _set_timer(self) -> None:
        """Wake up when the next packet has left or arrived, not before."""
        next_ns = self._line.next_ns() if self._line else None
        if next_ns is None:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(SHORTEST_WAIT_NS, next_ns - self._now_ns())
        self._timer.reset()


def main() -> NoReturn:
    """Run the node until it is told to stop."""
    run_process(LinkNode)


if __name__ == '__main__':
    main()
