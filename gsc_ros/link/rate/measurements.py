"""What a base station reports about the link, and what a handful of reports say together."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gsc_ros.codec.errors import PacketError
from gsc_ros.units import SECOND_NS

# What arrived is averaged over so much time, longer for fewer datagrams.
MEASURE_NS = SECOND_NS
MEASURE_LONGEST_NS = 4 * SECOND_NS
MEASURE_DATAGRAMS = 4
MOST_REPORTS = 64
# Loss: averaged over about so many datagrams; what is usual, over more. A link that loses more
# than USUAL_MOST without a queue is taken for one that drops instead of queueing.
LOSS_DATAGRAMS = 64
USUAL_DATAGRAMS = 512
USUAL_MOST = 0.25


@dataclass(frozen=True)
class Report:
    """
    What the base station saw during ``interval_ns``.

    ``lost`` are gaps in the datagram numbers, ``received_bytes`` are on the wire.
    ``queue_delay_ns`` is the one-way delay of the interval's last datagram above the least seen
    lately; it says nothing when ``received`` is 0. ``round_trip_ns`` None: not measured.
    """

    interval_ns: int
    received: int
    lost: int
    received_bytes: int
    queue_delay_ns: int
    round_trip_ns: int | None = None

    def __post_init__(self) -> None:
        """Raise PacketError for values that no measurement gives."""
        if self.interval_ns <= 0:
            raise PacketError('report interval', self.interval_ns, 'above 0')
        for name in ('received', 'lost', 'received_bytes', 'queue_delay_ns'):
            if getattr(self, name) < 0:
                raise PacketError(f'report {name}', getattr(self, name), '0 or more')


class Measurements:
    """What the last reports say together: rate, loss, size of a datagram."""

    def __init__(self) -> None:
        """Know nothing."""
        self._recent: deque[Report] = deque(maxlen=MOST_REPORTS)
        self._loss = self._usual_loss = 0.0
        self._counted = 0
        self.datagram = 0.0  # wire bytes, on average

    def add(self, report: Report, *, quiet: bool) -> None:
        """Take a report in; in ``quiet`` ones the loss is the link's usual one."""
        self._recent.append(report)
        while self._enough(list(self._recent)[1:]):
            self._recent.popleft()
        total = report.received + report.lost
        if total:
            loss = report.lost / total
            self._loss += min(1.0, total / LOSS_DATAGRAMS) * (loss - self._loss)
            if quiet:
                self._counted = min(self._counted + total, USUAL_DATAGRAMS)
                self._usual_loss += min(1.0, total / self._counted) * (loss - self._usual_loss)
                self._usual_loss = min(self._usual_loss, USUAL_MOST)
        if report.received:
            size = report.received_bytes / report.received
            self.datagram += (0.2 if self.datagram else 1.0) * (size - self.datagram)

    @staticmethod
    def _enough(reports: list[Report]) -> bool:
        span_ns = sum(report.interval_ns for report in reports)
        received = sum(report.received for report in reports)
        return span_ns >= MEASURE_LONGEST_NS or (
            span_ns >= MEASURE_NS and received >= MEASURE_DATAGRAMS)

    @property
    def span_s(self) -> float:
        """Time that ``rate`` is averaged over; at first longer than what was reported."""
        return max(MEASURE_NS, sum(report.interval_ns for report in self._recent)) / SECOND_NS

    @property
    def rate(self) -> float:
        """Wire bytes per second that arrived."""
        arrived = sum(report.received_bytes for report in self._recent)
        return arrived / self.span_s

    @property
    def passed(self) -> float:
        """Wire bytes per second that passed a bottleneck with a queue: arrived, lost as usual."""
        return self.rate / (1 - self._usual_loss)

    @property
    def unusual_loss(self) -> float:
        """Loss above the usual, 0..1."""
        return max(0.0, self._loss - self._usual_loss)

    def forgive(self) -> None:
        """Start anew with the loss above the usual."""
        self._loss = self._usual_loss
