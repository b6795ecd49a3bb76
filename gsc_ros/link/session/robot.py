"""The robot's end of the link, without sockets and clocks: datagrams in and out, times given."""
from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from gsc_ros.codec.errors import PacketError
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.rate.arrivals import MS_NS, RateMeter, sent_ms
from gsc_ros.link.rate.sendrate import SendRate
from gsc_ros.link.session.calling import Calling
from gsc_ros.link.session.ciphering import RobotSession
from gsc_ros.link.session.events import (
    Acked,
    OtherVersion,
    RefreshAsked,
    Requested,
    RobotEvent,
)
from gsc_ros.link.session.plain import PlainSession
from gsc_ros.link.session.requests import Handled, MAX_AGE_NS
from gsc_ros.link.session.streams import INFO_SHARE, OutgoingMessage, Streams
from gsc_ros.link.settings import LinkSettings, LinkState, PARTS
from gsc_ros.link.wire.blobs import StreamFacts
from gsc_ros.link.wire.crypto import HELLO_BYTES
from gsc_ros.link.wire.datagrams import (
    Datagram,
    Head,
    Kind,
    LinkError,
    OtherVersionError,
    Part,
    read_request,
    RequestBody,
    RequestKind,
    VERSION,
    write_done,
    write_part,
)
from gsc_ros.link.wire.reports import read_report, ReportBody
from gsc_ros.units import SECOND_NS

__all__ = ['Acked', 'RefreshAsked', 'Requested', 'RobotEndpoint', 'RobotEvent', 'StreamFacts']

# Whoever has nothing to send gives a sign of life, so that the base station knows.
ALIVE_PERIOD_NS = 2 * SECOND_NS
TELL_PERIOD_NS = 10 * SECOND_NS
TICK_NS = 200_000_000
MAX_DONE = 16


@dataclass
class _Outgoing:
    """What would leave now; of a message, its first part."""

    head: Head
    body: bytes
    message: OutgoingMessage | None = None


class RobotEndpoint:
    """
    Sends pictures and facts, newest first, within the ceiling; takes reports and requests.

    It needs no base station to keep sending, but with a key one must have answered once.
    """

    def __init__(self, settings: LinkSettings, *, boot: int) -> None:
        """``boot``: 64 random bits for every start, which tell restarts apart."""
        self._settings = settings
        self._session: PlainSession | RobotSession = (
            PlainSession(boot) if settings.key is None else RobotSession(settings.key, boot))
        self._streams = Streams(settings, boot % (1 << 32))
        self._message: OutgoingMessage | None = None
        self._done: deque[int] = deque(maxlen=MAX_DONE)
        self._handled = Handled()
        self._rate = SendRate(settings)
        self._base_boot: int | None = None
        self._spoke_ns: int | None = None
        self._calling = Calling(settings.silence_ns)
        self._told_ns: int | None = None
        self._next_ns: int | None = 0
        self._goodput = RateMeter()
        self.counters: Counter[str] = Counter(
            datagrams_sent=0, sent_bytes=0, datagrams_received=0, received_bytes=0,
            pictures_sent=0, pictures_acked=0, auth_failed=0, replayed=0, malformed=0,
            other_version=0, late_requests=0, dropped_unfinished=0)
        self.bytes_by_part = dict.fromkeys(PARTS, 0)

    def describe(self, stream_id: int, facts: StreamFacts) -> None:
        """Tell the base station what a stream (0..255) is; repeated now and then."""
        self._streams.describe(stream_id, facts)
        self._next_ns = 0

    def offer(self, stream_id: int, sequence: int, stamp_ns: int, packet: bytes,
              now_ns: int) -> None:
        """
        Have a picture sent; it takes the place of an older one of its stream that has not begun.

        :raises InvalidInputError: for one that the link cannot carry (``largest_packet``).
        """
        self._streams.offer(stream_id, sequence, stamp_ns, packet, now_ns)
        self._next_ns = 0

    @property
    def largest_packet(self) -> int:
        """Bytes of the largest picture that ``offer`` takes."""
        return self._settings.largest_packet

    @property
    def allowed_rate(self) -> int:
        """Wire bytes per second for pictures: without parity and what facts need."""
        return int(self._rate.rate * (1 - INFO_SHARE) / (1 + self._streams.parity_share))

    def receive(self, datagram: bytes, now_ns: int) -> list[RobotEvent]:
        """Take a datagram; what cannot be read is counted and dropped."""
        self._next_ns = 0
        try:
            opened = self._session.open(datagram)
            if opened.head.kind is Kind.HELLO:
                return []  # a recorded one is as good: it is no sign of life
            events = self._handle(opened, now_ns)
        except PacketError as error:
            self.counters[getattr(error, 'counter', LinkError.counter)] += 1
            return self._refused(error, now_ns)
        self._calling.heard(now_ns)
        self.counters['datagrams_received'] += 1
        self.counters['received_bytes'] += len(datagram) + self._settings.overhead_bytes
        return events

    def take_events(self) -> list[RobotEvent]:
        """Return what has happened beside what ``receive`` returned: nothing."""
        return []

    def answers(self, now_ns: int) -> list[bytes]:
        """Return what answers the sender of the last datagram alone: nothing."""
        return []

    def _refused(self, error: PacketError, now_ns: int) -> list[RobotEvent]:
        if not isinstance(error, OtherVersionError) or (
                self._told_ns is not None and now_ns - self._told_ns < TELL_PERIOD_NS):
            return []
        self._told_ns = now_ns
        return [OtherVersion(int(str(error.value)), VERSION)]

    def _handle(self, opened: Datagram, now_ns: int) -> list[RobotEvent]:
        if opened.head.kind is Kind.ANSWER and isinstance(self._session, RobotSession):
            return self._on_session(self._session, now_ns)
        if opened.head.kind is Kind.REPORT:
            return self._on_report(read_report(opened.body), opened.number, now_ns)
        if opened.head.kind is Kind.REQUEST:
            return self._on_request(read_request(opened.body), now_ns)
        raise LinkError('kind', opened.head.kind.name, 'REPORT or REQUEST')

    def _on_session(self, session: RobotSession, now_ns: int) -> list[RobotEvent]:
        """Begin a session: numbers begin again, and the base station may be another run."""
        self._rate.restart()
        self._calling.answered(session.period_ms * MS_NS, now_ns)
        self._spoke_ns = None  # speak at once, so that the base station begins it, too
        assert session.base_run is not None
        return self._on_base(session.base_run % SEQUENCES, now_ns)

    def _on_base(self, boot: int, now_ns: int) -> list[RobotEvent]:
        """Notice another run of the base station: it holds nothing yet."""
        if boot == self._base_boot:
            return []
        self._streams.tell(None, now_ns, again=self._base_boot is not None)
        self._base_boot = boot
        self._handled = Handled()
        return [RefreshAsked(stream_id) for stream_id in self._streams.ids]

    def _on_report(self, report: ReportBody, number: int, now_ns: int) -> list[RobotEvent]:
        if not self._rate.on_report(report, number, now_ns):
            return []
        self._calling.reported(report.interval_ms * MS_NS)
        events = self._on_base(report.boot, now_ns)
        for ack in report.acks:
            for sequence, size in self._streams.acknowledged(ack):
                self._goodput.add(size, now_ns)
                self.counters['pictures_acked'] += 1
                events.append(Acked(ack.stream_id, sequence))
        return events

    def _on_request(self, body: RequestBody, now_ns: int) -> list[RobotEvent]:
        """
        Take a request once, unless it may have expired for who asked.

        It is at most as old as it was when it left, and as what the base station had of us then.
        """
        flight_ns = self._rate.sent_times.age_ns(body.newest, now_ns)
        if flight_ns is None or body.age_ns + flight_ns >= MAX_AGE_NS:
            self.counters['late_requests'] += 1
            return []
        self._done.append(body.id)
        if not self._handled.add(body.id):
            return []
        request = body.request
        if request.kind is RequestKind.FACTS:
            self._streams.tell(request.stream_id, now_ns)
            return []
        if request.kind is RequestKind.REFRESH:
            return [RefreshAsked(stream_id) for stream_id in self._streams.ids
                    if request.stream_id in (None, stream_id)]
        return [Requested(request)]

    def poll(self, now_ns: int) -> list[bytes]:
        """Return the datagrams to send now."""
        self._rate.tick(now_ns)
        datagrams: list[bytes] = []
        while (outgoing := self._upcoming(now_ns)) is not None:
            wait_ns = self._rate.wait_ns(self._wire_bytes(outgoing), now_ns)
            if wait_ns > 0:
                self._next_ns = now_ns + wait_ns
                return datagrams
            datagrams.append(self._send(outgoing, now_ns))
        self._next_ns = now_ns + TICK_NS
        return datagrams

    def next_ns(self) -> int | None:
        """Return when to poll again at the latest; in the past: now."""
        return self._next_ns

    def _upcoming(self, now_ns: int) -> _Outgoing | None:
        """Choose what leaves next: answers, the message that was begun, facts, pictures."""
        if self._hello_due(now_ns):
            return _Outgoing(Head(Kind.HELLO), b'')
        if not self._session.ready:
            return None
        if self._done:
            return _Outgoing(Head(Kind.DONE), write_done(list(self._done)))
        self._give_up_late(now_ns)
        if self._message is None:
            self._message = self._streams.next_message(
                now_ns, self._rate.rate, self._rate.loss.value)
        if self._message is not None:
            return self._part_of(self._message, now_ns)
        alive_due = self._spoke_ns is None or now_ns - self._spoke_ns >= ALIVE_PERIOD_NS
        return _Outgoing(Head(Kind.DONE), b'') if alive_due else None

    def _hello_due(self, now_ns: int) -> bool:
        session = self._session
        return isinstance(session, RobotSession) and self._calling.due(
            now_ns, wanted=not session.ready or session.hello_wanted,
            round_trip_ns=self._rate.round_trip_ns)

    def _give_up_late(self, now_ns: int) -> None:
        message = self._message
        if message and message.expires_ns is not None and now_ns > message.expires_ns:
            self.counters['dropped_unfinished'] += 1
            self._message = None

    @staticmethod
    def _part_of(message: OutgoingMessage, now_ns: int) -> _Outgoing:
        fragment, payload = message.parts[0]
        body = write_part(Part(message.stream_id, sent_ms(now_ns), fragment, payload))
        return _Outgoing(message.head, body, message)

    def _wire_bytes(self, outgoing: _Outgoing) -> int:
        kind = outgoing.head.kind
        framing = HELLO_BYTES if kind is Kind.HELLO else self._session.overhead(kind)
        return framing + len(outgoing.body) + self._settings.overhead_bytes

    def _send(self, outgoing: _Outgoing, now_ns: int) -> bytes:
        number: int | None = None
        if outgoing.head.kind is Kind.HELLO:
            assert isinstance(self._session, RobotSession)
            datagram = self._session.hello()
            self._calling.said(now_ns)
        else:
            number, datagram = self._session.seal(outgoing.head, outgoing.body)
            self._spoke_ns = now_ns
        size = self._wire_bytes(outgoing)
        self._rate.sent(number, size, now_ns)
        self._account(outgoing, size)
        if outgoing.head.kind is Kind.DONE:
            self._done.clear()
        if outgoing.message is not None:
            self._advance(outgoing.message)
        return datagram

    def _advance(self, message: OutgoingMessage) -> None:
        message.parts.popleft()
        if not message.parts:
            self._streams.sent(message)
            self.counters['pictures_sent'] += message.sequence is not None
            self._message = None

    def _account(self, outgoing: _Outgoing, size: int) -> None:
        payload, part = 0, 'control'
        if outgoing.message is not None:
            fragment, data = outgoing.message.parts[0]
            payload = len(data)
            parity = fragment is not None and fragment.index >= fragment.count
            part = ('fec' if parity else
                    'info' if outgoing.head.kind is Kind.INFO else 'pictures')
        elif outgoing.head.kind is Kind.DONE:
            payload = len(outgoing.body)
        self.bytes_by_part[part] += payload
        self.bytes_by_part['overhead'] += size - payload
        self.counters['datagrams_sent'] += 1
        self.counters['sent_bytes'] += size

    def status(self, now_ns: int) -> LinkState:
        """Return what this side knows about the link."""
        queue_bytes, oldest_ns = self._streams.waiting()
        if self._message:
            queue_bytes += self._message.bytes_left
            oldest_ns = self._message.offered_ns
        counters = dict(self.counters)
        counters['dropped_late'] = self._streams.late + counters.pop('dropped_unfinished')
        counters['overtaken'] = self._streams.overtaken
        return LinkState(
            connected=self._calling.connected(now_ns, self._rate.round_trip_ns),
            silent_ns=self._calling.silent_ns(now_ns), rate=self._rate.rate,
            goodput=self._goodput.rate(now_ns), loss=self._rate.loss.value,
            round_trip_ns=self._rate.round_trip_ns, queue_bytes=queue_bytes,
            queue_ns=0 if oldest_ns is None else now_ns - oldest_ns,
            queue_delay_ns=self._rate.queue_delay_ns, counters=counters,
            bytes_by_part=dict(self.bytes_by_part))
