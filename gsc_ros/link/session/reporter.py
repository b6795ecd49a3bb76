"""What the base station measures, and the reports it makes of that."""
from __future__ import annotations

from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.rate.arrivals import Arrivals, LossMeter, MS_NS
from gsc_ros.link.session.incoming import Incoming
from gsc_ros.link.wire.reports import Ack, ACK_BYTES, REPORT_BYTES, ReportBody, write_report


class Reporter:
    """Measures arrivals from one report to the next; acknowledges pictures."""

    def __init__(self, boot: int, room: int) -> None:
        """``room``: bytes of the largest report; where not all acks fit, streams take turns."""
        self._boot = boot % SEQUENCES
        self._most_acks = (room - REPORT_BYTES) // ACK_BYTES
        self._turn = 0
        self.streams: dict[int, Incoming] = {}
        self.arrivals = Arrivals()
        self.loss = LossMeter()
        self.reported_ns: int | None = None

    def stream(self, stream_id: int) -> Incoming:
        """Return what is kept of a stream."""
        return self.streams.setdefault(stream_id, Incoming())

    def restart(self) -> None:
        """Forget what another run of the robot sent, and said of its streams."""
        self.arrivals.restart()
        for stream in self.streams.values():
            stream.forget()

    def report(self, now_ns: int) -> bytes:
        """Return the report that would leave now."""
        arrivals = self.arrivals
        since_ns = now_ns if self.reported_ns is None else self.reported_ns
        return write_report(ReportBody(
            boot=self._boot, newest=arrivals.newest,
            hold_ms=max(0, now_ns - arrivals.newest_ns) // MS_NS,
            interval_ms=max(1, (now_ns - since_ns) // MS_NS), received=arrivals.received,
            lost=arrivals.lost, received_bytes=arrivals.received_bytes,
            queue_delay_ms=arrivals.queue_delay_ns // MS_NS, acks=tuple(self._acks())))

    def reported(self, now_ns: int) -> None:
        """Note that it has left; the next interval begins."""
        self.loss.add(self.arrivals.received, self.arrivals.lost)
        for ack in self._acks():
            self.streams[ack.stream_id].unreported -= 1
            self._turn = ack.stream_id + 1
        self.arrivals.begin()
        self.reported_ns = now_ns

    def _acks(self) -> list[Ack]:
        news = [number for number, stream in self.streams.items() if stream.unreported]
        news.sort(key=lambda number: (number < self._turn, number))
        return [self.streams[number].ack(number) for number in news[:self._most_acks]]
