"""The base station's end of the link, without sockets and clocks."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gsc_ros.budget.window import WindowCeiling
from gsc_ros.codec.errors import PacketError
from gsc_ros.link.rate.arrivals import RateMeter
from gsc_ros.link.session.ciphering import BaseSession, PlainSession
from gsc_ros.link.session.events import BaseEvent, Facts, Picture, Restarted
from gsc_ros.link.session.reporter import Reporter
from gsc_ros.link.session.requests import Requests
from gsc_ros.link.settings import LinkSettings, LinkState, PARTS
from gsc_ros.link.wire.blobs import read_facts, read_picture, StreamFacts
from gsc_ros.link.wire.datagrams import (
    Head,
    Kind,
    LinkError,
    Part,
    read_done,
    read_part,
    Request,
    write_request,
)
from gsc_ros.link.wire.fragments import Reassembly

__all__ = ['BaseEndpoint', 'BaseEvent', 'Facts', 'Picture', 'Restarted', 'StreamFacts']

# Whoever calls is answered at most this often.
ANSWER_PERIOD_NS = 500_000_000
# Facts that are missing are asked for no more often than this.
ASK_PERIOD_NS = 3_000_000_000
# Reports about nothing, while no robot is heard, are rarer.
IDLE_PERIODS = 4


@dataclass(frozen=True)
class _Outgoing:
    kind: Kind
    body: bytes
    request_id: int = 0
    answer: bool = False  # to a caller, under a word that nobody has used


class BaseEndpoint:
    """Takes pictures and facts; sends reports and requests, a few dozen bytes a second."""

    def __init__(self, settings: LinkSettings, *, boot: int, wall_offset_ns: int = 0) -> None:
        """
        Make one for a run.

        ``boot``: 32 random bits for every start. ``wall_offset_ns``: what to add to ``now_ns``
        for the time of day; only needed, to within two days, for stamps of pictures that come
        before any facts.
        """
        self._settings, self._boot, self._wall_offset_ns = settings, boot, wall_offset_ns
        self._session: PlainSession | BaseSession = (
            PlainSession(boot) if settings.key is None else BaseSession(settings.key, boot))
        self._robot_boot: int | None = None
        self._fragments = Reassembly()
        self._reporter = Reporter(
            boot, settings.largest_datagram - self._session.overhead(Kind.REPORT))
        self._goodput = RateMeter()
        self._requests = Requests(boot)
        self._ceiling = WindowCeiling(settings.bytes_per_second)
        self._heard_ns: int | None = None
        self._answered_ns: int | None = None
        self._asked_ns: dict[int, int] = {}
        self._next_ns: int | None = 0
        self.counters: Counter[str] = Counter(
            datagrams_sent=0, sent_bytes=0, datagrams_received=0, received_bytes=0,
            pictures=0, duplicates=0, auth_failed=0, replayed=0, malformed=0)
        self.bytes_by_part = dict.fromkeys(PARTS, 0)

    def request(self, request: Request, now_ns: int) -> None:
        """
        Send a request until the robot has it or it is 15 s old.

        :raises TooManyRequestsError: when 32 wait already.
        """
        self._requests.add(request, now_ns)
        self._next_ns = 0

    def receive(self, datagram: bytes, now_ns: int) -> list[BaseEvent]:
        """Take a datagram; what cannot be read is counted and dropped."""
        self._next_ns = 0
        try:
            opened = self._session.open(datagram)
            if opened.head.kind is Kind.HELLO:
                return []
            if opened.head.kind not in (Kind.DATA, Kind.INFO, Kind.DONE):
                raise LinkError('kind', opened.head.kind.name, 'DATA, INFO or DONE')
            part = None if opened.head.kind is Kind.DONE else read_part(opened)
            self._note(opened.number, len(datagram), part, now_ns)
            if part is None:
                self._requests.done(read_done(opened.body), now_ns)
                return []
            return self._on_part(opened.head, part, now_ns)
        except PacketError as error:
            self.counters[getattr(error, 'counter', LinkError.counter)] += 1
            return []

    def _note(self, number: int, size: int, part: Part | None, now_ns: int) -> None:
        """Measure: what arrived, and after how long."""
        if self._session.fresh:
            self._forget()
            self._session.fresh = False
        size += self._settings.overhead_bytes
        self._heard_ns = now_ns
        self.counters['datagrams_received'] += 1
        self.counters['received_bytes'] += size
        sent = part.sent_ms if part else None
        self.counters['duplicates'] += not self._reporter.arrivals.add(
            number, size, sent, now_ns)

    def _on_part(self, head: Head, part: Part, now_ns: int) -> list[BaseEvent]:
        blob = self._join(head, part, now_ns)
        if blob is None:
            return []
        if head.kind is Kind.INFO:
            return self._on_facts(part.stream_id, blob)
        return self._on_picture(part.stream_id, blob, head.inside, now_ns)

    def _join(self, head: Head, part: Part, now_ns: int) -> bytes | None:
        if part.fragment is None:
            return part.payload
        return self._fragments.add(head.kind, part.stream_id, part.fragment, part.payload,
                                   inside=head.inside, now_ns=now_ns)

    def _on_picture(self, stream_id: int, blob: bytes, inside: bool,
                    now_ns: int) -> list[BaseEvent]:
        sequence, stamp, packet = read_picture(blob, inside=inside)
        stream = self._reporter.stream(stream_id)
        stamp_ns = stream.take(sequence, stamp, now_ns + self._wall_offset_ns)
        if stamp_ns is None:
            return []
        if stream.facts is None:
            self._ask(stream_id, now_ns)
        self._goodput.add(len(packet), now_ns)
        self.counters['pictures'] += 1
        return [Picture(stream_id, sequence, stamp_ns, packet, stream.facts)]

    def _ask(self, stream_id: int, now_ns: int) -> None:
        asked_ns = self._asked_ns.get(stream_id)
        if asked_ns is None or now_ns - asked_ns >= ASK_PERIOD_NS:
            self._asked_ns[stream_id] = now_ns
            self._requests.ask_facts(stream_id, now_ns)

    def _on_facts(self, stream_id: int, blob: bytes) -> list[BaseEvent]:
        told = read_facts(blob)
        events: list[BaseEvent] = []
        if told.boot != self._robot_boot:
            if self._robot_boot is not None:
                self._forget()
                for stream in self._reporter.streams.values():
                    stream.facts = None
                events.append(Restarted(told.boot))
            self._robot_boot = told.boot
        stream = self._reporter.stream(stream_id)
        if told.stamp_ns:
            stream.stamp_ns = told.stamp_ns
        if told.facts != stream.facts:
            stream.facts = told.facts
            events.append(Facts(stream_id, told.facts))
        return events

    def _forget(self) -> None:
        """Another run of the robot: nothing that was begun can be finished."""
        self._fragments.clear()
        self._reporter.restart()

    def poll(self, now_ns: int) -> list[bytes]:
        """Return the datagrams to send now: an answer to a caller, the report, requests."""
        datagrams: list[bytes] = []
        self._next_ns = None
        while (outgoing := self._upcoming(now_ns)) is not None:
            wait_ns = self._ceiling.wait_ns(self._wire_bytes(outgoing), now_ns)
            if wait_ns > 0:
                self._wake(now_ns + wait_ns)
                return datagrams
            datagrams.append(self._send(outgoing, now_ns))
        return datagrams

    def next_ns(self) -> int | None:
        """Return when to poll again at the latest; in the past: now."""
        return self._next_ns

    def _upcoming(self, now_ns: int) -> _Outgoing | None:
        """Choose what leaves next; note when something will."""
        if self._session.caller is not None and self._due(
                self._answered_ns, ANSWER_PERIOD_NS, now_ns):
            return _Outgoing(Kind.REPORT, self._reporter.empty(), answer=True)
        if not self._session.ready:
            return None
        if self._due(self._reporter.reported_ns, self._report_period(now_ns), now_ns):
            return _Outgoing(Kind.REPORT, self._reporter.report(now_ns))
        request = self._requests.due(now_ns)
        if request is not None:
            return _Outgoing(Kind.REQUEST, write_request(*request), request_id=request[0])
        self._wake(self._requests.next_ns())
        return None

    def _due(self, last_ns: int | None, period_ns: int, now_ns: int) -> bool:
        if last_ns is None or now_ns - last_ns >= period_ns:
            return True
        self._wake(last_ns + period_ns)
        return False

    def _wake(self, at_ns: int | None) -> None:
        if at_ns is not None:
            self._next_ns = at_ns if self._next_ns is None else min(self._next_ns, at_ns)

    def _report_period(self, now_ns: int) -> int:
        silent = self._heard_ns is None or now_ns - self._heard_ns >= self._settings.silence_ns
        return self._settings.report_period_ns * (IDLE_PERIODS if silent else 1)

    def _wire_bytes(self, outgoing: _Outgoing) -> int:
        return (self._session.overhead(outgoing.kind) + len(outgoing.body)
                + self._settings.overhead_bytes)

    def _send(self, outgoing: _Outgoing, now_ns: int) -> bytes:
        seal = self._session.answer if outgoing.answer else self._session.seal
        _, datagram = seal(Head(outgoing.kind), outgoing.body)
        if outgoing.answer:
            self._answered_ns = now_ns
        elif outgoing.kind is Kind.REPORT:
            self._reporter.reported(now_ns)
        else:
            self._requests.sent(outgoing.request_id, now_ns)
        size = self._wire_bytes(outgoing)
        self._ceiling.sent(size, now_ns)
        self.bytes_by_part['control'] += len(outgoing.body)
        self.bytes_by_part['overhead'] += size - len(outgoing.body)
        self.counters['datagrams_sent'] += 1
        self.counters['sent_bytes'] += size
        return datagram

    def status(self, now_ns: int) -> LinkState:
        """Return what this side knows about the link."""
        silent_ns = None if self._heard_ns is None else now_ns - self._heard_ns
        counters = dict(self.counters)
        counters['incomplete'] = self._fragments.given_up
        counters['rebuilt'] = self._fragments.rebuilt
        counters['requests_expired'] = self._requests.expired
        return LinkState(
            connected=silent_ns is not None and silent_ns < self._settings.silence_ns,
            silent_ns=silent_ns, rate=self._settings.bytes_per_second,
            goodput=self._goodput.rate(now_ns), loss=self._reporter.loss.value,
            round_trip_ns=self._requests.round_trip_ns, queue_bytes=0, queue_ns=0,
            queue_delay_ns=self._reporter.arrivals.queue_delay_ns, counters=counters,
            bytes_by_part=dict(self.bytes_by_part))
