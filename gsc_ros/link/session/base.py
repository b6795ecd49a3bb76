"""The base station's end of the link, without sockets and clocks."""
from __future__ import annotations

from collections import Counter

from gsc_ros.codec.errors import PacketError
from gsc_ros.link.rate.arrivals import MS_NS, RateMeter
from gsc_ros.link.session.ciphering import BaseSession
from gsc_ros.link.session.events import (
    BaseEvent,
    Expired,
    Facts,
    OtherVersion,
    Picture,
    Restarted,
    TwoRobots,
)
from gsc_ros.link.session.greeting import Greeting
from gsc_ros.link.session.outbox import Outbox
from gsc_ros.link.session.plain import PlainSession
from gsc_ros.link.session.reporter import Reporter
from gsc_ros.link.session.requests import Requests
from gsc_ros.link.session.runs import Heard, Runs
from gsc_ros.link.session.sealed import UnknownSessionError
from gsc_ros.link.settings import LinkSettings, LinkState
from gsc_ros.link.wire.blobs import read_facts, read_picture, StreamFacts
from gsc_ros.link.wire.crypto import ReplayError
from gsc_ros.link.wire.datagrams import (
    Datagram,
    Head,
    Kind,
    LinkError,
    OtherVersionError,
    Part,
    read_done,
    read_head,
    read_part,
    Request,
    VERSION,
)
from gsc_ros.link.wire.fragments import Reassembly
from gsc_ros.units import SECOND_NS

__all__ = ['BaseEndpoint', 'BaseEvent', 'Facts', 'Picture', 'Restarted', 'StreamFacts']

# Facts that are missing are asked for no more often than this.
ASK_PERIOD_NS = 3 * SECOND_NS
# The same trouble is told again after so long.
TELL_PERIOD_NS = 10 * SECOND_NS


class BaseEndpoint:
    """Takes pictures and facts; sends reports and requests, a few dozen bytes a second."""

    def __init__(self, settings: LinkSettings, *, boot: int, wall_offset_ns: int = 0) -> None:
        """
        Make one for a run.

        ``boot``: 64 random bits for every start. ``wall_offset_ns``: what to add to ``now_ns``
        for the time of day; only needed, to within two days, for stamps of pictures that come
        before any facts.
        """
        self._settings, self._boot, self._wall_offset_ns = settings, boot, wall_offset_ns
        self._session: PlainSession | BaseSession
        self._greeting: Greeting | None = None
        if settings.key is None:
            self._session = PlainSession(boot)
        else:
            self._session = BaseSession(settings.key, boot)
            self._greeting = Greeting(self._session, settings.report_period_ns // MS_NS)
        self._runs = Runs()
        self._robot_boot: int | None = None
        self._fragments = Reassembly()
        self._reporter = Reporter(
            boot, settings.largest_datagram - self._session.overhead(Kind.REPORT))
        self._goodput = RateMeter()
        self._requests = Requests(boot)
        self._heard_ns: int | None = None
        self._told_ns: dict[type[BaseEvent], int] = {}
        self._untold: list[BaseEvent] = []
        self._asked_ns: dict[int, int] = {}
        self.counters: Counter[str] = Counter(
            datagrams_sent=0, sent_bytes=0, datagrams_received=0, received_bytes=0,
            pictures=0, duplicates=0, auth_failed=0, replayed=0, malformed=0, other_version=0,
            two_robots=0)
        self._outbox = Outbox(settings, self._session, self._reporter, self._requests,
                              self.counters)

    def request(self, request: Request, now_ns: int) -> None:
        """
        Send a request until the robot has it or it is 15 s old.

        :raises TooManyRequestsError: when 32 wait already.
        """
        self._requests.add(request, now_ns)
        self._outbox.next_ns = 0

    def receive(self, datagram: bytes, now_ns: int) -> list[BaseEvent]:
        """Take a datagram; what cannot be read is counted and dropped."""
        self._outbox.next_ns = 0
        try:
            events = self._take(datagram, now_ns)
        except PacketError as error:
            self.counters[getattr(error, 'counter', LinkError.counter)] += 1
            self._refused(error, now_ns)
            events = []
        return [*self.take_events(), *events]

    def take_events(self) -> list[BaseEvent]:
        """Return what has happened beside what datagrams brought, such as expired requests."""
        events, self._untold = self._untold, []
        while self._requests.expired:
            events.append(Expired(self._requests.expired.popleft()))
        return events

    def answers(self, now_ns: int) -> list[bytes]:
        """
        Return what answers the sender of the datagram received last, and nobody else.

        To be called right after ``receive`` where datagrams have senders; ``poll`` returns what
        was not asked for.
        """
        datagram = self._greeting.take() if self._greeting else None
        return self._outbox.pass_on(datagram, now_ns) if datagram else []

    def _refused(self, error: PacketError, now_ns: int) -> None:
        if isinstance(error, UnknownSessionError) and self._greeting:
            self._greeting.unknown(error.sealed, now_ns, live=self._live(now_ns))
        elif isinstance(error, OtherVersionError):
            self._tell(OtherVersion(int(str(error.value)), VERSION), now_ns)

    def _tell(self, event: BaseEvent, now_ns: int) -> None:
        told_ns = self._told_ns.get(type(event))
        if told_ns is None or now_ns - told_ns >= TELL_PERIOD_NS:
            self._told_ns[type(event)] = now_ns
            self._untold.append(event)

    def _live(self, now_ns: int) -> bool:
        """Tell whether a robot was heard lately."""
        return (self._heard_ns is not None
                and now_ns - self._heard_ns < self._settings.silence_ns)

    def _take(self, datagram: bytes, now_ns: int) -> list[BaseEvent]:
        if self._greeting and read_head(datagram).kind is Kind.HELLO:
            self._on_hello(datagram, now_ns)
            return []
        opened = self._session.open(datagram)
        if opened.head.kind not in (Kind.DATA, Kind.INFO, Kind.DONE):
            raise LinkError('kind', opened.head.kind.name, 'DATA, INFO or DONE')
        part = None if opened.head.kind is Kind.DONE else read_part(opened)
        events = self._on_run(opened, now_ns)
        self._note(opened.number, len(datagram), part, now_ns)
        if part is None:
            self._requests.done(read_done(opened.body), now_ns)
            return events
        return events + self._on_part(opened.head, part, now_ns)

    def _on_hello(self, datagram: bytes, now_ns: int) -> None:
        assert isinstance(self._session, BaseSession) and self._greeting
        robot = self._session.read_hello(datagram)
        if self._runs.refuses(robot.run, now_ns, live=self._live(now_ns)):
            self._on_two_robots(now_ns)
        else:
            self._greeting.hello(robot, now_ns)

    def _on_run(self, opened: Datagram, now_ns: int) -> list[BaseEvent]:
        """Notice that another run of the robot speaks; ReplayError for what is to be ignored."""
        heard = self._runs.heard(opened.run, now_ns, live=self._live(now_ns),
                                 proven=self._session.fresh)
        if heard is Heard.LATE:
            raise ReplayError('run', opened.run, self._runs.current)
        if heard is Heard.RETURNED:
            self._on_two_robots(now_ns)
        if heard in (Heard.RESTART, Heard.RETURNED):
            return self._restarted()
        if self._session.fresh:  # of the same run: its numbers begin again
            self._reporter.arrivals.restart()
        return []

    def _on_two_robots(self, now_ns: int) -> None:
        self.counters['two_robots'] += 1
        self._tell(TwoRobots(), now_ns)

    def _restarted(self) -> list[BaseEvent]:
        """Another run of the robot: what was begun is not finished, streams are others."""
        self._fragments.clear()
        self._reporter.restart()
        self._requests.give_up_streams()
        self._asked_ns.clear()
        self._robot_boot = None
        assert self._runs.current is not None
        return [*self.take_events(), Restarted(self._runs.current)]

    def _note(self, number: int, size: int, part: Part | None, now_ns: int) -> None:
        """Measure: what arrived, and after how long."""
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
        if self._robot_boot not in (None, told.boot):  # without a key a run shows 8 bits only
            events += self._restarted()
        self._robot_boot = told.boot
        stream = self._reporter.stream(stream_id)
        if told.stamp_ns:
            stream.stamp_ns = told.stamp_ns
        if told.facts != stream.facts:
            stream.facts = told.facts
            events.append(Facts(stream_id, told.facts))
        return events

    def poll(self, now_ns: int) -> list[bytes]:
        """Return the datagrams to send now: an answer to a robot, requests, the report."""
        return self.answers(now_ns) + self._outbox.poll(now_ns, live=self._live(now_ns))

    def next_ns(self) -> int | None:
        """Return when to poll again at the latest; in the past: now."""
        return self._outbox.next_ns

    def status(self, now_ns: int) -> LinkState:
        """Return what this side knows about the link."""
        silent_ns = None if self._heard_ns is None else now_ns - self._heard_ns
        counters = dict(self.counters)
        counters['incomplete'] = self._fragments.given_up
        counters['rebuilt'] = self._fragments.rebuilt
        counters['requests_expired'] = self._requests.expired_count
        return LinkState(
            connected=self._live(now_ns),
            silent_ns=silent_ns, rate=self._settings.bytes_per_second,
            goodput=self._goodput.rate(now_ns), loss=self._reporter.loss.value,
            round_trip_ns=self._requests.round_trip_ns, queue_bytes=0, queue_ns=0,
            queue_delay_ns=self._reporter.arrivals.queue_delay_ns, counters=counters,
            bytes_by_part=dict(self._outbox.bytes_by_part))
