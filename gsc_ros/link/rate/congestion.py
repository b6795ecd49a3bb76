"""
How fast a robot may send when nobody knows the link: adaptation to what the base station reports.

In the manner of NADA (RFC 8698, section 4.3): while neither a queue nor unusual loss shows, the
rate grows to a little more than what arrived (accelerated ramp-up), which bounds the queue that
the growth itself can make. What differs, because at 1..64 kbit/s a report covers a handful of
datagrams:

* Instead of NADA's gradual update (a proportional-integral rule that needs a smooth signal) the
  rate drops to what arrives, as in Google Congestion Control (draft-ietf-rmcat-gcc-02, section
  5.5), and below that until the queue is empty.
* One datagram may take half a second, so what counts as a queue grows with a datagram's time.
* Radio links lose datagrams without being full. Loss counts by how far it exceeds its usual level;
  GCC (section 6) acts on any loss above 10 %.
* Bytes in flight are bounded as in SCReAM (RFC 8298, section 4.1.2): when a link slows down, its
  queue stops growing before any report can say so.

A sender asks before each datagram, and tells of each that it sends::

    pacer.change(controller.rate)
    flying = in_flight.bytes(now_ns, controller.patience_ns)
    allowed = (not pacer.wait_ns(now_ns) and not ceiling.wait_ns(size, now_ns)
               and (not flying or flying + size <= controller.window(now_ns)))

With all of it a link that slows down from 16 to 4 kbit/s queues less than 2 s at a round trip of
up to 0.2 s and a report every 0.25 s; without the bound on bytes in flight, 3 to 4 s.

Rates are bytes per second on the wire. Time is an argument in nanoseconds.
"""
from __future__ import annotations

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.rate.measurements import Measurements, Report
from gsc_ros.units import SECOND_NS

__all__ = ['RateController', 'Report']

# Queueing delay that is left alone, beside the time of one datagram; also what growth may make
# before it can be noticed (QBOUND of RFC 8698).
QUEUE_S = 0.25
GROWTH_MOST = 0.5
# Cameras fill about so much of what they may send.
USED = 0.8
# First rate, as a part of the ceiling: at the floor single losses would stall the start.
START = 0.25
# After congestion: part of the measured rate to go on with, and time to empty the queue in.
BACK_OFF = 0.9
DRAIN_S = 1.0
DRAIN_LEAST = 0.1
# Cameras may send less than allowed; then what arrives is no measure of the link, and this is
# the largest step down at once.
STEP_DOWN = 0.7
# Queueing delay below this share of what is left alone: the loss is the link's usual one.
QUIET = 0.2
# So much loss above the usual is congestion.
LOSS_UNUSUAL = 0.12
LOSS_NONE = 0.02
# No growth for so long after it: a link that drops instead of queueing would fill again at once.
LOSS_HOLD_NS = 3 * SECOND_NS
# Bytes in flight: part of what the rate needs (less of the link is used, and less is in its queue
# when it slows down), and part of the rate to go on with while nothing seems to arrive.
FLIGHT = 0.85
PROBE = 0.25
# Assumed until a report tells.
ROUND_TRIP_S = 0.5
SILENCE_NS = 2 * SECOND_NS
SILENCE_LONGEST_NS = 15 * SECOND_NS


class RateController:
    """Adapts ``rate`` between ``floor`` and ``ceiling``; it starts at a quarter of the ceiling."""

    def __init__(self, floor: int, ceiling: int) -> None:
        """Set the limits [bytes per second]; InvalidInputError unless 0 < floor <= ceiling."""
        if not 0 < floor <= ceiling:
            raise InvalidInputError('floor', floor, f'1..ceiling={ceiling}')
        self._floor, self._ceiling = floor, ceiling
        self._rate = max(float(floor), START * ceiling)
        self._measured = Measurements()
        self._heard_ns: int | None = None
        self._arrived_ns: int | None = None  # when a report last told of a datagram
        self._interval_s = self._idle_trip_s = self._trip_s = ROUND_TRIP_S
        self._onset: float | None = None  # rate at which the congestion that lasts set in
        self._capacity = self._rate  # of the link, while there is congestion
        self._hold_ns = 0  # no growth before

    @property
    def rate(self) -> int:
        """Wire bytes per second to send now."""
        return int(self._rate)

    def window(self, now_ns: int) -> int:
        """
        Wire bytes that may be on their way: sent, and not yet reported as arrived or lost.

        About what the rate needs from one report to the next, and one datagram more. A report
        that is overdue widens it: reports get lost, too, and say nothing then about the way there.
        Reports that nothing arrived widen it slowly: all may be lost, or stand in a queue.
        """
        flight_s = self._idle_trip_s + self._interval_s
        silent_s = _since_s(self._heard_ns, now_ns) - self._interval_s
        stuck_s = _since_s(self._arrived_ns, now_ns) - self._interval_s
        flight_s = FLIGHT * flight_s + max(0.0, silent_s, PROBE * stuck_s)
        return int(self._rate * flight_s + self._measured.datagram)

    @property
    def patience_ns(self) -> int:
        """After so long without a report, reports or all that was sent must be lost."""
        wanted_ns = int((2 * self._trip_s + 3 * self._interval_s) * SECOND_NS)
        return min(max(wanted_ns, SILENCE_NS), SILENCE_LONGEST_NS)

    def change(self, floor: int, ceiling: int) -> None:
        """Take other limits from now on; InvalidInputError unless 0 < floor <= ceiling."""
        if not 0 < floor <= ceiling:
            raise InvalidInputError('floor', floor, f'1..ceiling={ceiling}')
        self._floor, self._ceiling = floor, ceiling
        self._set(self._rate)

    def on_report(self, report: Report, now_ns: int) -> None:
        """Adapt to what arrived."""
        self._heard_ns = now_ns
        self._note_times(report)
        queue_s = report.queue_delay_ns / SECOND_NS
        self._measured.add(report, quiet=queue_s < QUIET * self._tolerance_s())
        if not report.received:
            return  # idle or all lost: nothing was measured
        self._arrived_ns = now_ns
        excess_s = queue_s - self._tolerance_s()
        if excess_s > 0:
            self._back_off(excess_s)
        elif self._measured.unusual_loss > LOSS_UNUSUAL:
            self._back_off_from_loss(now_ns)
        elif self._onset is not None:
            self._resume(self._onset, now_ns)
        elif not 0 < self._hold_ns - now_ns <= SILENCE_LONGEST_NS:
            self._grow()

    def on_silence(self, now_ns: int) -> None:
        """Halve the rate whenever no report has come for long; call it regularly."""
        if self._heard_ns is None or now_ns < self._heard_ns:
            self._heard_ns = now_ns
        if now_ns - self._heard_ns >= self.patience_ns:
            self._heard_ns = now_ns
            self._set(self._rate / 2)

    def _note_times(self, report: Report) -> None:
        if report.received:
            self._interval_s = report.interval_ns / SECOND_NS
        if report.round_trip_ns is not None:
            self._trip_s = report.round_trip_ns / SECOND_NS
            idle_ns = max(0, report.round_trip_ns - report.queue_delay_ns)
            self._idle_trip_s += 0.25 * (idle_ns / SECOND_NS - self._idle_trip_s)

    def _tolerance_s(self) -> float:
        return QUEUE_S + self._measured.datagram / self._rate

    def _back_off(self, excess_s: float) -> None:
        """Go on with what arrives, while a queue lasts with less, so that it empties."""
        if self._onset is None:
            self._onset = self._capacity = self._rate
        passed = max(self._measured.passed, STEP_DOWN * self._capacity)
        self._capacity = min(self._onset, passed)
        self._set(BACK_OFF * self._capacity * max(DRAIN_LEAST, 1 - excess_s / DRAIN_S))

    def _back_off_from_loss(self, now_ns: int) -> None:
        """Go on with what gets through; the same losses must not count a second time."""
        self._set(self._rate * (1 - self._measured.unusual_loss))
        self._measured.forgive()
        self._hold_ns = now_ns + LOSS_HOLD_NS

    def _resume(self, onset: float, now_ns: int) -> None:
        """Take the rate that was measured, now that the queue is gone, and see what that does."""
        self._set(BACK_OFF * min(onset, max(self._capacity, self._measured.passed)))
        self._onset = None
        feedback_ns = int((self._idle_trip_s + self._interval_s) * SECOND_NS)
        self._hold_ns = now_ns + min(feedback_ns, SILENCE_LONGEST_NS)

    def _grow(self) -> None:
        """
        Accelerated ramp-up: a little more than what arrived, never less than before.

        A rate that is used for the better part, with nothing lost, counts as tried (in the manner
        of RFC 7661): cameras seldom fill it, and would otherwise never get more.
        """
        feedback_s = self._idle_trip_s + self._interval_s + self._measured.span_s / 2
        step = min(GROWTH_MOST, self._tolerance_s() / feedback_s)
        passed = self._measured.passed
        if self._measured.unusual_loss < LOSS_NONE:
            passed = max(passed, min(self._rate, passed / USED))
        self._set(max(self._rate, (1 + step) * passed))

    def _set(self, rate: float) -> None:
        self._rate = min(max(rate, float(self._floor)), float(self._ceiling))


def _since_s(then_ns: int | None, now_ns: int) -> float:
    return 0.0 if then_ns is None else max(0, now_ns - then_ns) / SECOND_NS
