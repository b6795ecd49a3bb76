"""Counters and their publication on /diagnostics."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from gsc_ros.parameters.topics import DIAGNOSTICS
from rclpy.node import Node


class Counters:
    """
    Named numbers of one camera or stream; safe between threads.

    ``faults`` names the counters whose increase makes the status a warning.
    """

    def __init__(self, name: str, counts: Sequence[str], faults: Sequence[str] = (),
                 rates: Sequence[str] = (), source: Mapping[str, int] | None = None) -> None:
        """
        Start ``counts`` at 0; of those in ``rates`` the change per second is reported too.

        :param source: counts that something else keeps under the same names.
        """
        self.name = name
        self._source = {} if source is None else source
        self._counts: dict[str, int] = dict.fromkeys([*counts, *faults], 0)
        self._gauges: dict[str, str] = {}
        self._faults, self._rates = tuple(faults), tuple(rates)
        self._last, self._last_s = dict(self._counts), time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: str, amount: int = 1) -> None:
        """Raise a counter."""
        with self._lock:
            self._counts[count] += amount

    def set(self, count: str, value: int) -> None:
        """Take over a counter that something else keeps."""
        with self._lock:
            self._counts[count] = value

    def gauge(self, name: str, value: float | str) -> None:
        """Note a current value."""
        with self._lock:
            self._gauges[name] = value if isinstance(value, str) else f'{value:.3f}'

    def get(self, count: str) -> int:
        """Return the value of a counter."""
        with self._lock:
            return self._now()[count]

    def _now(self) -> dict[str, int]:
        return {name: count + self._source.get(name, 0) for name, count in self._counts.items()}

    def status(self, node: str) -> DiagnosticStatus:
        """Make a status; rates and warnings speak of the time since the last call."""
        with self._lock:
            now_s = time.monotonic()
            elapsed_s = max(now_s - self._last_s, 1e-3)
            counts = self._now()
            change = {name: count - self._last[name] for name, count in counts.items()}
            values = {name: str(count) for name, count in counts.items()}
            for name in self._rates:
                values[f'{name}_per_second'] = f'{change[name] / elapsed_s:.2f}'
            values.update(self._gauges)
            new_faults = [f'{change[name]} {name}' for name in self._faults if change[name]]
            self._last, self._last_s = counts, now_s
        status = DiagnosticStatus(name=f'{node}: {self.name}', hardware_id=self.name)
        status.level = DiagnosticStatus.WARN if new_faults else DiagnosticStatus.OK
        status.message = ', '.join(new_faults) or 'ok'
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        return status


class Diagnostics:
    """Publishes counters of a node every ``period_s`` seconds, until ``close``."""

    def __init__(self, node: Node, period_s: float, counters: Callable[[], Sequence[Counters]],
                 before: Callable[[], None] | None = None) -> None:
        """``before`` is called first, to refresh gauges; ``counters`` may change meanwhile."""
        self._node, self._counters, self._before = node, counters, before
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        self._timer = node.create_timer(period_s, self.publish)

    def publish(self) -> None:
        """Publish all counters now."""
        if self._before:
            self._before()
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        # As diagnostic_updater: the node's name without its leading slash comes first.
        name = self._node.get_fully_qualified_name().lstrip('/')
        message.status = [counters.status(name) for counters in self._counters()]
        self._publisher.publish(message)

    def close(self) -> None:
        """Stop publishing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)
