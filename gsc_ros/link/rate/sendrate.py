"""How fast the robot may send: the base station's reports, the controller, what is on its way."""
from __future__ import annotations

from collections import deque, OrderedDict

from gsc_ros.budget.ceiling import WindowCeiling
from gsc_ros.link.rate.arrivals import LossMeter, MS_NS
from gsc_ros.link.rate.congestion import RateController
from gsc_ros.link.rate.inflight import InFlight
from gsc_ros.link.rate.measurements import Report
from gsc_ros.link.rate.pacing import Pacer
from gsc_ros.link.rate.senttimes import SentTimes
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.reports import ReportBody
from gsc_ros.units import SECOND_NS

TICK_NS = 100_000_000
MAX_SENT_TIMES = 1024
MAX_REPORTS_KNOWN = 16
LONGEST_ROUND_TRIP_NS = 60 * SECOND_NS


class SendRate:
    """Ceiling, and with ``adapt`` what the link carries."""

    def __init__(self, settings: LinkSettings) -> None:
        """Start at the floor, or at the ceiling without adaptation."""
        self._settings = settings
        self._ceiling = WindowCeiling(settings.bytes_per_second)
        self._controller = RateController(settings.floor, settings.bytes_per_second)
        self._pacer = Pacer(self.rate)
        self._in_flight = InFlight()
        self._sent_ns: OrderedDict[int, int] = OrderedDict()  # by datagram number
        self.sent_times = SentTimes()
        self._reports: deque[tuple[int, int]] = deque(maxlen=MAX_REPORTS_KNOWN)
        self.loss = LossMeter()
        self.round_trip_ns: int | None = None
        self.queue_delay_ns = 0

    @property
    def rate(self) -> int:
        """Wire bytes per second."""
        return (self._controller.rate if self._settings.adapt
                else self._settings.bytes_per_second)

    def restart(self) -> None:
        """Begin with another numbering of datagrams and reports."""
        self._in_flight, self.sent_times = InFlight(), SentTimes()
        self._sent_ns.clear()
        self._reports.clear()

    def tick(self, now_ns: int) -> None:
        """Note that time passes, with or without reports."""
        self._controller.on_silence(now_ns)
        self._pacer.change(self.rate)

    def wait_ns(self, size: int, now_ns: int) -> int:
        """Nanoseconds until a datagram of ``size`` wire bytes may leave, 0 for now."""
        wait_ns = self._ceiling.wait_ns(size, now_ns)
        if not self._settings.adapt:
            return wait_ns
        flying = self._in_flight.bytes(now_ns, self._controller.patience_ns)
        if flying and flying + size > self._controller.window(now_ns):
            wait_ns = max(wait_ns, TICK_NS)
        return max(wait_ns, self._pacer.wait_ns(now_ns))

    def sent(self, number: int | None, size: int, now_ns: int) -> None:
        """Count a datagram that leaves now; ``number`` None: one that has none."""
        self._ceiling.sent(size, now_ns)
        self._pacer.sent(size, now_ns)
        if number is None:
            return
        if self._settings.adapt:  # else nobody asks, and without a base station nothing ends it
            self._in_flight.sent(number, size, now_ns)
        self.sent_times.sent(number, now_ns)
        self._sent_ns[number] = now_ns
        self._sent_ns.move_to_end(number)
        if len(self._sent_ns) > MAX_SENT_TIMES:
            self._sent_ns.popitem(last=False)

    def on_report(self, body: ReportBody, number: int, now_ns: int) -> bool:
        """Take a report; return False for one that came before. PacketError for nonsense."""
        if (body.boot, number) in self._reports:
            return False
        report = Report(
            interval_ns=body.interval_ms * MS_NS, received=body.received, lost=body.lost,
            received_bytes=body.received_bytes, queue_delay_ns=body.queue_delay_ms * MS_NS,
            round_trip_ns=self._round_trip(body, now_ns))
        self._reports.append((body.boot, number))
        if body.newest is not None:
            self._in_flight.reported(body.newest)
        self.round_trip_ns = report.round_trip_ns or self.round_trip_ns
        self.queue_delay_ns = report.queue_delay_ns
        self.loss.add(report.received, report.lost)
        self._controller.on_report(report, now_ns)
        self._pacer.change(self.rate)
        return True

    def _round_trip(self, body: ReportBody, now_ns: int) -> int | None:
        """Time since the newest datagram left, less what the base station held it."""
        sent_ns = None if body.newest is None else self._sent_ns.get(body.newest)
        if sent_ns is None:
            return None
        round_trip_ns = now_ns - sent_ns - body.hold_ms * MS_NS
        return round_trip_ns if 0 <= round_trip_ns < LONGEST_ROUND_TRIP_NS else None
