"""Requests of the base station on their way: repeated until the robot has them, in order."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gsc_ros.codec.errors import GscError
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.wire.datagrams import Request, RequestBody, RequestKind
from gsc_ros.units import SECOND_NS

REPEAT_NS = 1_500_000_000
MAX_AGE_NS = 15 * SECOND_NS
MAX_PENDING = 32
MAX_HANDLED = 64
# May overtake others, because it does not matter in which order they come.
UNORDERED = (RequestKind.REFRESH, RequestKind.FACTS)


class TooManyRequestsError(GscError):
    """The robot has not answered so many requests that no more are taken."""


@dataclass
class _Pending:
    request: Request
    made_ns: int
    due_ns: int
    sent_ns: int | None = None
    repeated: bool = False


class Requests:
    """
    The base station's side.

    Of those whose order matters only the oldest is on its way: a repeated PAUSE must not arrive
    after the RESUME that followed it.
    """

    def __init__(self, boot: int) -> None:
        """``boot`` (random) sets the first id, so that those of the run before differ."""
        self._id = (boot >> 16) % SEQUENCES
        self._pending: dict[int, _Pending] = {}
        self.round_trip_ns: int | None = None
        self.expired: deque[Request] = deque(maxlen=MAX_PENDING)  # until somebody is told
        self.expired_count = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, request: Request, now_ns: int) -> None:
        """Take a request; one that is already waiting, equal and unordered, is enough."""
        if request.kind in UNORDERED and any(
                pending.request == request for pending in self._pending.values()):
            return
        if len(self._pending) >= MAX_PENDING:
            raise TooManyRequestsError(f'{MAX_PENDING} requests wait for the robot')
        self._id = (self._id + 1) % SEQUENCES
        self._pending[self._id] = _Pending(request, now_ns, now_ns)

    def ask_facts(self, stream_id: int, now_ns: int) -> None:
        """Ask for a stream's facts, unless too much waits already."""
        if len(self._pending) < MAX_PENDING:
            self.add(Request(stream_id, RequestKind.FACTS), now_ns)

    def due(self, newest: int, now_ns: int) -> RequestBody | None:
        """Return the request to send now; ``newest``: number of the robot's latest datagram."""
        for request_id, pending in self._on_their_way():
            if now_ns >= pending.due_ns:
                age_ns = max(0, now_ns - pending.made_ns)
                return RequestBody(request_id, pending.request, age_ns, newest)
        return None

    def sent(self, request_id: int, now_ns: int) -> None:
        """Note that it has left."""
        pending = self._pending[request_id]
        pending.repeated = pending.sent_ns is not None
        pending.sent_ns, pending.due_ns = now_ns, now_ns + REPEAT_NS

    def done(self, request_ids: list[int], now_ns: int) -> None:
        """Forget those that the robot has."""
        for request_id in request_ids:
            pending = self._pending.pop(request_id, None)
            if pending and pending.sent_ns is not None and not pending.repeated:
                self.round_trip_ns = max(0, now_ns - pending.sent_ns)

    def next_ns(self, *, sendable: bool) -> int | None:
        """Return when the next is given up or, if it could leave at all, due."""
        times = [pending.made_ns + MAX_AGE_NS for pending in self._pending.values()]
        if sendable:
            times += [pending.due_ns for _, pending in self._on_their_way()]
        return min(times, default=None)

    def _on_their_way(self) -> list[tuple[int, _Pending]]:
        ordered = [request_id for request_id, pending in self._pending.items()
                   if pending.request.kind not in UNORDERED]
        return [(request_id, pending) for request_id, pending in self._pending.items()
                if request_id in ordered[:1] or pending.request.kind in UNORDERED]

    def expire(self, now_ns: int) -> None:
        """Give up what is too old: the robot does not obey it any more."""
        self._give_up([request_id for request_id, pending in self._pending.items()
                       if now_ns - pending.made_ns >= MAX_AGE_NS])

    def give_up_streams(self) -> None:
        """Give up what is for single streams: another run of the robot numbers them anew."""
        self._give_up([request_id for request_id, pending in self._pending.items()
                       if pending.request.stream_id is not None])

    def _give_up(self, request_ids: list[int]) -> None:
        for request_id in request_ids:
            request = self._pending.pop(request_id).request
            if request.kind is not RequestKind.FACTS:  # which nobody but the link asks for
                self.expired.append(request)
                self.expired_count += 1


class Handled:
    """The robot's side: which requests came before."""

    def __init__(self) -> None:
        """None has come."""
        self._ids: deque[int] = deque(maxlen=MAX_HANDLED)

    def add(self, request_id: int) -> bool:
        """Return False for one that came before."""
        if request_id in self._ids:
            return False
        self._ids.append(request_id)
        return True
