"""Base of the two link nodes: endpoint, thread, events, status."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
import queue
import time
from typing import Any, Generic, TypeVar

from gsc_msgs.msg import LinkStatus
from gsc_ros.codec.errors import GscError
from gsc_ros.link.io import Endpoint, LinkIo
from gsc_ros.link.key_file import load_key
from gsc_ros.link.session.events import OtherVersion, TwoRobots
from gsc_ros.link.settings import LinkSettings, LinkState
from gsc_ros.link.transports import open_transport, Transport, TransportError
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import link_status
from gsc_ros.nodes.qos import output_qos
from gsc_ros.parameters.parameter import Table
from rclpy.publisher import Publisher

End = TypeVar('End', bound=Endpoint)
# Counted on the wire while a transport that cannot be opened yet does not tell its own.
UNKNOWN_OVERHEAD_BYTES = 64
# What makes the status a warning when it grows: somebody else speaks, or the line is bad.
FAULTS = ('auth_failed', 'replayed', 'malformed', 'other_version', 'two_robots',
          'transport_failures')


class LinkEndNode(GscNode, Generic[End]):
    """
    A node at one end of the link.

    Subclasses make settings and endpoint and handle events. The link's thread only moves
    datagrams: all that touches ROS happens in the executor's.
    """

    def __init__(self, name: str, table: Table) -> None:
        """Make the node; nothing is opened before configure."""
        super().__init__(name, table)
        self.io: LinkIo[End] | None = None
        self.link_counters = Counters('link', (), faults=FAULTS)
        self.newest_stamp_ns: int | None = None
        self._events: queue.SimpleQueue[Sequence[Any]] = queue.SimpleQueue()
        self._arrival: Any = None
        self._transport: Transport | None = None
        self._settings: LinkSettings | None = None
        self._status: Publisher | None = None

    def link_settings(self, **common: Any) -> LinkSettings:
        """Complete the settings that both ends have in common."""
        raise NotImplementedError

    def make_endpoint(self, settings: LinkSettings) -> End:
        """Return the protocol's end."""
        raise NotImplementedError

    def on_events(self, events: Sequence[Any]) -> None:
        """Handle events of the endpoint."""
        raise NotImplementedError

    def setup(self) -> None:
        """Read the key and open the link, so that what is wrong with them fails configure."""
        values = self.parameters
        key = load_key(values['key_file']) if values['key_file'] else None
        try:
            self._transport = self._open()
        except TransportError as error:  # a port that is not there yet is tried again
            self.report('link', error)
        overhead = self._transport.overhead_bytes if self._transport else UNKNOWN_OVERHEAD_BYTES
        self._settings = self.link_settings(
            key=key, mtu=values['mtu'], overhead_bytes=overhead,
            bytes_per_second=values['bytes_per_second'])
        self._status = self.advertise(LinkStatus, '~/status', output_qos())

    def _open(self) -> Transport:
        return open_transport(self.parameters['link'], mtu=self.parameters['mtu'])

    def start(self) -> None:
        """Start the link's thread with a new endpoint."""
        assert self._settings is not None
        transport, self._transport = self._transport, None
        self._events = queue.SimpleQueue()  # what an earlier thread still says goes nowhere
        self._arrival = self.create_guard_condition(self._handle_events)
        self.io = LinkIo(self.make_endpoint(self._settings), transport, self._open,
                         time.monotonic_ns, partial(self._take_events, self._events),
                         lambda error: self.report('link', error))
        self.io.start()

    def stop(self) -> None:
        """End the thread and close the link."""
        io, self.io = self.io, None
        arrival, self._arrival = self._arrival, None
        self.newest_stamp_ns = None
        try:
            if io:
                io.stop()
        finally:
            if arrival:
                self.destroy_guard_condition(arrival)

    def teardown(self) -> None:
        """Close a link that was never used; forget the key."""
        transport, self._transport = self._transport, None
        self._settings = self._status = None
        if transport:
            transport.close()

    def _take_events(self, waiting: queue.SimpleQueue[Sequence[Any]], events: Sequence[Any]
                     ) -> None:
        """Queue events of the link's thread for the executor's."""
        waiting.put(events)
        arrival = self._arrival
        if arrival:  # None while the node stops
            arrival.trigger()

    def _handle_events(self) -> None:
        while not self._events.empty():
            with self.guard('link events'):
                events = self._events.get()
                for event in events:
                    if isinstance(event, TwoRobots | OtherVersion):
                        self.report('the other end', GscError(str(event)))
                self.on_events(events)

    def saw(self, stamp_ns: int) -> None:
        """Note the stamp of a picture that has crossed."""
        self.newest_stamp_ns = max(stamp_ns, self.newest_stamp_ns or stamp_ns)

    def refresh_gauges(self) -> None:
        """Publish the link's state; show it on /diagnostics too."""
        if not self.io or not self._status:
            return
        with self.io.use(wake=False) as end:
            state: LinkState = end.status(time.monotonic_ns())
        counts = {f'transport_{name}': count for name, count in asdict(self.io.counts).items()
                  if isinstance(count, int)}
        counts |= state.counters | {'transport_failed_to_open': self.io.failed_to_open}
        now = self.get_clock().now()
        status = link_status(state, counts, now.nanoseconds, self.newest_stamp_ns)
        status.header.stamp = now.to_msg()
        self._status.publish(status)
        self._show(status, counts)

    def _show(self, status: LinkStatus, counts: dict[str, int]) -> None:
        counts['transport_failures'] = sum(
            counts[f'transport_{name}']
            for name in ('send_failed', 'receive_failed', 'corrupt', 'failed_to_open'))
        for name in FAULTS:
            self.link_counters.set(name, counts.pop(name, 0))
        figures = {name: getattr(status, name) for name in status.get_fields_and_field_types()}
        for name in ('header', 'bytes_by_part', 'counters'):
            del figures[name]
        parts = {f'bytes_{part.name}': part.count for part in status.bytes_by_part}
        for name, value in (figures | parts | counts).items():
            self.link_counters.gauge(name, value if isinstance(value, float) else str(value))

    def counters(self) -> list[Counters]:
        """One status for the link."""
        return [self.link_counters]
