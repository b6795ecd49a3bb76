"""
The base station's side without ROS: which packets are followed, which are shown, what is missing.

The decoder node, evaluation at a rate, ``gsc bag`` and the demo all receive through ``Receiver``.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
import threading
from typing import Generic, TYPE_CHECKING, TypeVar

from gsc_ros.codec.bitstream import MAX_SIDE, Packet, unpack
from gsc_ros.codec.errors import GscError, InvalidInputError, PacketError
from gsc_ros.codec.references import MissingReferenceError, ReceiverReferences
from gsc_ros.codec.sequence import distance
from gsc_ros.units import SECOND_NS

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture, SemanticDecoder
    from gsc_ros.prior.steady import LastPicture

Tag = TypeVar('Tag')

MAX_WAITING = 32    # packets of one stream
REFRESH_PERIOD_NS = SECOND_NS
# The robot learns of a loss from acknowledgements and codes from what is here; only if it does not
# in this time is it asked to. A receiver that has nothing yet asks at once.
PATIENCE_NS = 3 * SECOND_NS
MAX_GAP = 1000      # a larger jump of the sequence is a restarted encoder, not loss
MAX_LATE = 4        # packets that may overtake one; more is a restarted encoder or a bag in a loop


@dataclass(frozen=True)
class View:
    """
    How a stream is looked at; None: as ``SemanticDecoder.decode`` does by itself.

    Pictures of more than ``generate_pixels`` are never regenerated: others wait meanwhile.
    """

    generate: bool | None = None
    steps: int | None = None
    seed: int | None = None
    crispness: float | None = None
    generate_pixels: int = MAX_SIDE ** 2


@dataclass(frozen=True)
class Shown(Generic[Tag]):
    """A picture for the screen; ``tag`` is what came with its packet of ``size`` bytes."""

    stream: str
    tag: Tag
    decoded: DecodedPicture
    size: int


@dataclass(frozen=True)
class Refused:
    """A packet that could not be read or decoded, and why."""

    stream: str
    error: Exception


@dataclass(frozen=True)
class RefreshNeeded:
    """A picture is missing that later ones refer to: the robot should send one without."""

    stream: str


Event = Shown[Tag] | Refused | RefreshNeeded


@dataclass(frozen=True)
class _Arrived(Generic[Tag]):
    """A packet, what came with it, its bytes, and whether a newer one came first."""

    packet: Packet
    tag: Tag
    size: int
    late: bool


@dataclass
class _Stream(Generic[Tag]):
    """What is kept of one stream."""

    counters: Counter[str]
    references: ReceiverReferences = field(default_factory=ReceiverReferences)
    waiting: deque[_Arrived[Tag]] = field(default_factory=deque)
    newest: tuple[int, int] | None = None     # sequence, and when its picture was taken
    last: LastPicture | None = None           # from the first regenerated picture on
    refresh_ns: int | None = None             # when it was asked for last
    stuck_ns: int | None = None               # since when nothing could be decoded
    decoded: bool = False                     # whether anything was
    pixels: int = 0                           # of the newest picture that told its size

    def needs_refresh(self, now_ns: int) -> bool:
        """Whether to ask for a picture that stands alone, now that one could not be decoded."""
        self.stuck_ns = now_ns if self.stuck_ns is None else self.stuck_ns
        if self.decoded and now_ns - self.stuck_ns < PATIENCE_NS:
            return False
        if self.refresh_ns is not None and now_ns - self.refresh_ns < REFRESH_PERIOD_NS:
            return False
        self.refresh_ns = now_ns
        return True

    def place(self, sequence: int, taken_ns: int) -> bool:
        """Count packets lost since the newest one; true for one that is older than that."""
        if self.newest is not None:
            newest, newest_taken_ns = self.newest
            if 0 < distance(newest, sequence) <= MAX_LATE and taken_ns < newest_taken_ns:
                self.counters['late'] += 1
                return True
            gap = distance(sequence - 1, newest)
            if gap < MAX_GAP:
                self.counters['lost'] += gap
        self.newest = sequence, taken_ns
        return False


class Receiver(Generic[Tag]):
    """
    Takes packets of several streams and shows the newest of each.

    The others are followed, for the packets that refer to them. ``take`` may be called from any
    thread, all else from one.
    """

    def __init__(self, decoder: SemanticDecoder, streams: Iterable[str],
                 counters: Mapping[str, Counter[str]] | None = None,
                 max_pixels: int = MAX_SIDE ** 2) -> None:
        """
        Take the streams' names.

        :param counters: of each stream, to go on with; new ones if None.
        :param max_pixels: packets of larger pictures are refused before anything is decoded: a
            few bytes may claim any size.
        """
        self._decoder, self._max_pixels = decoder, max_pixels
        self._streams: dict[str, _Stream[Tag]] = {
            name: _Stream(counters[name] if counters else Counter()) for name in streams}
        self._turns: dict[str, None] = {}   # streams with packets, longest waiting first
        self._lock = threading.Lock()

    def counters(self, stream: str) -> Counter[str]:
        """Return what was counted of a stream since the start."""
        return self._stream(stream).counters

    def take(self, stream: str, data: bytes, taken_ns: int, tag: Tag) -> None:
        """
        Take a packet of a picture that was taken at ``taken_ns``; any clock of the robot serves.

        :raises PacketError: if it cannot be read, or its picture is too large; it is counted.
        """
        state = self._stream(stream)
        with self._lock:
            state.counters['packets'] += 1
            state.counters['bytes'] += len(data)
            try:
                packet = self._admitted(unpack(data))
            except GscError:
                state.counters['bad_packets'] += 1
                raise
            state.pixels = packet.width * packet.height or state.pixels
            late = state.place(packet.sequence, taken_ns)
            state.waiting.append(_Arrived(packet, tag, len(data), late))
            if len(state.waiting) > MAX_WAITING:
                state.waiting.popleft()
                state.counters['replaced'] += 1
            self._turns[stream] = None

    def _admitted(self, packet: Packet) -> Packet:
        if packet.width * packet.height > self._max_pixels:
            raise PacketError('picture size', f'{packet.width}x{packet.height}',
                              f'at most {self._max_pixels} pixels: max_pixels')
        return packet

    def clear(self) -> None:
        """Forget packets that wait."""
        with self._lock:
            self._turns.clear()
            for state in self._streams.values():
                state.waiting.clear()

    def next_stream(self) -> str | None:
        """Return the stream whose packets have waited longest, None if there is none."""
        with self._lock:
            return next(iter(self._turns), None)

    def show(self, stream: str, view: View | None, now_ns: int) -> Iterator[Event[Tag]]:
        """
        Decode the newest packet of a stream, follow those before it.

        :param view: None if nobody looks: then the newest is followed, too.
        :param now_ns: any monotonic clock; spaces the requests for a refresh.
        """
        state = self._stream(stream)
        with self._lock:
            self._turns.pop(stream, None)
            arrived = list(state.waiting)
            state.waiting.clear()
        for number, one in enumerate(arrived, 1):
            newest = number == len(arrived)
            state.counters['replaced'] += not newest
            state.counters['skipped'] += newest and view is None and not one.late
            wanted = view if newest and not one.late else None
            yield from self._handle(stream, state, one, wanted, now_ns)

    def _handle(self, stream: str, state: _Stream[Tag], one: _Arrived[Tag], view: View | None,
                now_ns: int) -> Iterator[Event[Tag]]:
        try:
            decoded = None if view is None else self._decode(state, one, view)
            if decoded is None:
                self._decoder.follow(one.packet, state.references)
            state.decoded, state.stuck_ns = True, None
            if decoded is not None:
                state.counters['decoded'] += 1
                yield Shown(stream, one.tag, decoded, one.size)
        except MissingReferenceError:   # no fault: the packet that it refers to was lost
            state.counters['missing_references'] += 1
            if state.needs_refresh(now_ns):
                state.counters['refresh_requests'] += 1
                yield RefreshNeeded(stream)
        except Exception as error:
            state.counters['bad_packets' if isinstance(error, GscError) else 'errors'] += 1
            yield Refused(stream, error)

    def _decode(self, state: _Stream[Tag], one: _Arrived[Tag], view: View) -> DecodedPicture:
        generate = False if state.pixels > view.generate_pixels else view.generate
        if generate is not False and state.last is None:
            from gsc_ros.prior.steady import LastPicture  # with torch, which plain pictures omit
            state.last = LastPicture()
        return self._decoder.decode(
            one.packet, steps=view.steps, seed=view.seed, generate=generate,
            references=state.references, crispness=view.crispness,
            last=None if generate is False else state.last)

    def _stream(self, name: str) -> _Stream[Tag]:
        if name not in self._streams:
            raise InvalidInputError('stream', name, sorted(self._streams))
        return self._streams[name]
