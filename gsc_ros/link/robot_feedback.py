"""What the robot's end of the link tells the sender of each stream: events become feedback."""
from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

from gsc_ros.codec.errors import GscError
from gsc_ros.link.feedback import Feedback, Limits
from gsc_ros.link.session.control import Control
from gsc_ros.link.session.events import Acked, RefreshAsked, Requested, RobotEvent
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.blobs import PICTURE_BYTES
from gsc_ros.link.wire.datagrams import Kind, Request

MAX_STAMPS = 64


class StreamFeedback:
    """What has been heard of one stream since its last feedback, and what operators want of it."""

    def __init__(self) -> None:
        """Start without a base station."""
        self.counters: Counter[str] = Counter(acknowledged=0, refreshes=0, refused_requests=0)
        self._control = Control()
        self._acknowledged: list[int] = []
        self._refresh = False
        self._stamps: OrderedDict[int, int] = OrderedDict()   # of packets offered lately

    def offered(self, sequence: int, stamp_ns: int) -> None:
        """Note a packet that was handed to the link."""
        self._stamps[sequence] = stamp_ns
        if len(self._stamps) > MAX_STAMPS:
            self._stamps.popitem(last=False)

    def acknowledged(self, sequence: int) -> int | None:
        """Note a picture that the base station holds; its stamp where that is known."""
        self._acknowledged.append(sequence)
        self.counters['acknowledged'] += 1
        return self._stamps.pop(sequence, None)

    def refresh(self) -> None:
        """Note that the base station holds no picture, or asks for one that stands alone."""
        self._acknowledged.clear()
        self._refresh = True
        self.counters['refreshes'] += 1

    def obey(self, request: Request) -> None:
        """
        Take over what an operator asks for.

        :raises InvalidInputError: if that is not allowed; it is counted.
        """
        try:
            self._control = self._control.after(request.kind, request.values)
        except GscError:
            self.counters['refused_requests'] += 1
            raise

    def take(self, bytes_per_second: int, overhead_bytes: int, fragment_bytes: int) -> Feedback:
        """Return the feedback that is due; acknowledgements and refresh are told once."""
        limits = Limits(self._control, bytes_per_second, overhead_bytes, fragment_bytes)
        feedback = Feedback(tuple(self._acknowledged), self._refresh, limits)
        self._acknowledged, self._refresh = [], False
        return feedback


class RobotFeedback:
    """The feedback of all streams of a robot's end; ``streams`` are by their numbers."""

    def __init__(self, settings: LinkSettings, streams: Iterable[int]) -> None:
        """Take the settings of the robot's end."""
        self.streams = {number: StreamFeedback() for number in streams}
        self.newest_stamp_ns: int | None = None
        """Of the newest picture that the base station holds."""
        # Stamp and number are counted in each fragment: a few bytes too many rather than too few.
        self._fragment_bytes = settings.room(Kind.DATA) - PICTURE_BYTES
        self._overhead_bytes = (settings.largest_datagram - self._fragment_bytes
                                + settings.overhead_bytes)

    def note(self, event: RobotEvent) -> list[tuple[int, GscError]]:
        """Take an event; the streams for which a request was refused, with the reason."""
        if isinstance(event, Acked):
            stamp_ns = self.streams[event.stream_id].acknowledged(event.sequence)
            if stamp_ns is not None:
                self.newest_stamp_ns = max(stamp_ns, self.newest_stamp_ns or stamp_ns)
        elif isinstance(event, RefreshAsked):
            self.streams[event.stream_id].refresh()
        elif isinstance(event, Requested):
            return self._obey(event.request)
        return []

    def _obey(self, request: Request) -> list[tuple[int, GscError]]:
        refused: list[tuple[int, GscError]] = []
        for number, stream in self.streams.items():
            if request.stream_id in (None, number):
                try:
                    stream.obey(request)
                except GscError as error:
                    refused.append((number, error))
        return refused

    def take(self, number: int, allowed_rate: int) -> Feedback:
        """Return what is due for a stream; ``allowed_rate`` is the endpoint's."""
        return self.streams[number].take(
            allowed_rate, self._overhead_bytes, self._fragment_bytes)
