"""What a base station sends within its ceiling, and in which order."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gsc_ros.budget.ceiling import WindowCeiling
from gsc_ros.link.session.ciphering import BaseSession
from gsc_ros.link.session.plain import PlainSession
from gsc_ros.link.session.reporter import Reporter
from gsc_ros.link.session.requests import Requests
from gsc_ros.link.settings import LinkSettings, PARTS
from gsc_ros.link.wire.datagrams import Head, Kind, write_request
from gsc_ros.units import SECOND_NS

# Reports about nothing, while no robot is heard, are rarer.
IDLE_PERIODS = 4
# Reports come as often as keeps all their bytes within this share of the ceiling.
REPORT_SHARE = 0.75


@dataclass(frozen=True)
class _Outgoing:
    kind: Kind
    body: bytes
    request_id: int = 0


class Outbox:
    """
    Requests first, then the report; no second carries more than the ceiling.

    ``next_ns``: when ``poll`` has something to do again; in the past: now, None: never by itself.
    """

    def __init__(self, settings: LinkSettings, session: PlainSession | BaseSession,
                 reporter: Reporter, requests: Requests, counters: Counter[str]) -> None:
        """Count what leaves in ``counters``: datagrams_sent, sent_bytes."""
        self._settings, self._session, self._counters = settings, session, counters
        self._reporter, self._requests = reporter, requests
        self._ceiling = WindowCeiling(settings.bytes_per_second)
        self._report_bytes = 0      # on the wire, of the last one
        self._request_left = False  # a request was the last to leave
        self.next_ns: int | None = 0
        self.bytes_by_part = dict.fromkeys(PARTS, 0)

    def poll(self, now_ns: int, *, live: bool) -> list[bytes]:
        """Return the datagrams to send now; ``live``: a robot was heard lately."""
        self._requests.expire(now_ns)
        self.next_ns = None
        datagrams: list[bytes] = []
        while (outgoing := self._upcoming(now_ns, live)) is not None:
            wait_ns = self._ceiling.wait_ns(self._wire_bytes(outgoing), now_ns)
            if wait_ns > 0:
                self._wake(now_ns + wait_ns)
                break
            datagrams.append(self._send(outgoing, now_ns))
        return datagrams

    def pass_on(self, datagram: bytes, now_ns: int) -> list[bytes]:
        """Return a datagram that is made already, nothing if the ceiling holds it back."""
        size = len(datagram) + self._settings.overhead_bytes
        if self._ceiling.wait_ns(size, now_ns) > 0:
            return []
        self._account(size, 0, now_ns)
        return [datagram]

    def _upcoming(self, now_ns: int, live: bool) -> _Outgoing | None:
        """Choose what leaves next; note when something will."""
        if not self._session.ready:
            self._wake(self._requests.next_ns(sendable=False))
            return None
        report_due = self._report_due(now_ns, live)
        # Many requests must not keep reports back: a report that is due follows each.
        request = None if report_due and self._request_left else self._request(now_ns)
        if request is not None:
            return request
        if report_due:
            return _Outgoing(Kind.REPORT, self._reporter.report(now_ns))
        self._wake(self._requests.next_ns(sendable=self._reporter.arrivals.newest is not None))
        return None

    def _request(self, now_ns: int) -> _Outgoing | None:
        newest = self._reporter.arrivals.newest
        if newest is None:
            return None  # the robot could not tell how old the request is
        body = self._requests.due(newest, now_ns)
        return _Outgoing(Kind.REQUEST, write_request(body), body.id) if body else None

    def _report_due(self, now_ns: int, live: bool) -> bool:
        """Tell whether it is time for a report, later where they take much of the ceiling."""
        share = REPORT_SHARE * self._settings.bytes_per_second
        period_ns = max(self._settings.report_period_ns,
                        int(self._report_bytes / share * SECOND_NS))
        if not live:
            period_ns *= IDLE_PERIODS
        last_ns = self._reporter.reported_ns
        if last_ns is None or now_ns - last_ns >= period_ns:
            return True
        self._wake(last_ns + period_ns)
        return False

    def _wake(self, at_ns: int | None) -> None:
        if at_ns is not None:
            self.next_ns = at_ns if self.next_ns is None else min(self.next_ns, at_ns)

    def _wire_bytes(self, outgoing: _Outgoing) -> int:
        return (self._session.overhead(outgoing.kind) + len(outgoing.body)
                + self._settings.overhead_bytes)

    def _send(self, outgoing: _Outgoing, now_ns: int) -> bytes:
        _, datagram = self._session.seal(Head(outgoing.kind), outgoing.body)
        size = self._wire_bytes(outgoing)
        self._request_left = outgoing.kind is Kind.REQUEST
        if self._request_left:
            self._requests.sent(outgoing.request_id, now_ns)
        else:
            self._reporter.reported(now_ns)
            self._report_bytes = size
        self._account(size, len(outgoing.body), now_ns)
        return datagram

    def _account(self, size: int, payload: int, now_ns: int) -> None:
        """Count a datagram of ``size`` wire bytes that leaves now."""
        self._ceiling.sent(size, now_ns)
        self.bytes_by_part['control'] += payload
        self.bytes_by_part['overhead'] += size - payload
        self._counters['datagrams_sent'] += 1
        self._counters['sent_bytes'] += size
