"""
How many bytes a camera may send now: rate and picture size chosen together, with a hard ceiling.

Each camera has a token bucket that fills with its share of the link; a sliding window over all
cameras holds the ceiling. Time is an argument (``now_ns``, any monotonic clock in nanoseconds).
"""
from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
import math

from gsc_ros.codec.errors import InvalidInputError

SECOND_NS = 1_000_000_000
WINDOW_NS = SECOND_NS
# A camera that has offered no picture for this long leaves its share to the others.
IDLE_NS = 3 * SECOND_NS
# Bytes that an encoder saved on one picture may go into the next, up to this many planned packets.
BUCKET_PACKETS = 2


@dataclass(frozen=True)
class BudgetSettings:
    """
    Limits of all cameras together.

    ``bytes_per_second`` counts on the wire, payload plus ``overhead_bytes`` per packet.
    ``max_rate`` is pictures per second of one camera; ``min_bytes`` and ``max_bytes`` bound one
    packet's payload.
    """

    bytes_per_second: int
    max_rate: float
    min_bytes: int
    max_bytes: int
    overhead_bytes: int = 0

    def __post_init__(self) -> None:
        """Raise InvalidInputError for limits that contradict each other."""
        if not self.bytes_per_second > 0:
            raise InvalidInputError('bytes_per_second', self.bytes_per_second, 'above 0')
        if not 0 < self.max_rate < math.inf:
            raise InvalidInputError('max_rate', self.max_rate, 'above 0, finite')
        if self.overhead_bytes < 0:
            raise InvalidInputError('overhead_bytes', self.overhead_bytes, '0 or more')
        if not 0 < self.min_bytes <= self.max_bytes:
            raise InvalidInputError('min_bytes', self.min_bytes, f'1..max_bytes={self.max_bytes}')

    @property
    def ceiling(self) -> int:
        """
        Most bytes on the wire in any window of one second.

        One smallest packet must fit, else nothing could be sent over a very thin link.
        """
        return max(self.bytes_per_second, self.min_bytes + self.overhead_bytes)


@dataclass(frozen=True)
class Plan:
    """What a camera aims at: ``payload`` bytes a picture at ``rate`` pictures per second."""

    payload: int
    rate: float


def plan(settings: BudgetSettings, share: float = 1.0) -> Plan:
    """
    Choose picture size and rate for a camera that has ``share`` (0..1] of the bytes.

    As many pictures as ``max_rate`` allows while a picture keeps ``min_bytes``; below that fewer
    pictures, not smaller ones. No picture is planned above ``max_bytes``.
    """
    speed = settings.bytes_per_second * share
    even = int(speed / settings.max_rate) - settings.overhead_bytes
    largest = settings.ceiling - settings.overhead_bytes
    payload = max(settings.min_bytes, min(even, settings.max_bytes, largest))
    return Plan(payload, min(settings.max_rate, speed / (payload + settings.overhead_bytes)))


@dataclass
class _Camera:
    weight: float
    tokens: float = 0.0
    due_ns: int = 0
    offered_ns: int | None = None
    granted: int = field(default=0)  # payload promised and not yet spent


class ByteBudget:
    """Shares a link between cameras; ask ``grant``, encode, then ``spend`` or ``cancel``."""

    def __init__(self, weights: Mapping[str, float], settings: BudgetSettings) -> None:
        """``weights`` maps each camera to its positive weight (InvalidInputError otherwise)."""
        if not weights:
            raise InvalidInputError('weights', dict(weights), 'at least one camera')
        for camera, weight in weights.items():
            if not 0 < weight < math.inf:
                raise InvalidInputError(f'weight of {camera}', weight, 'above 0, finite')
        self._settings = settings
        self._cameras = {camera: _Camera(weight) for camera, weight in weights.items()}
        self._sent: deque[tuple[int, int]] = deque()  # time, bytes on the wire
        self._filled_ns: int | None = None
        self._tokens = float(BUCKET_PACKETS * settings.ceiling)  # of all cameras together

    @property
    def settings(self) -> BudgetSettings:
        """The limits in force."""
        return self._settings

    def change(self, settings: BudgetSettings) -> None:
        """Take new limits from now on; what was sent before still counts in the window."""
        self._settings = settings

    def plan(self, camera: str, now_ns: int) -> Plan:
        """Return what ``camera`` aims at, given which cameras are active."""
        return plan(self._settings, self._share(self._camera(camera), now_ns))

    def offer(self, camera: str, now_ns: int) -> None:
        """Note that ``camera`` has a picture: it takes part in sharing."""
        state = self._camera(camera)
        self._fill(now_ns)
        if state.offered_ns is None:
            state.offered_ns = now_ns
            state.tokens = self._packet(state, now_ns)  # the first picture goes out at once
        state.offered_ns = now_ns

    def grant(self, camera: str, now_ns: int) -> int:
        """
        Largest payload that ``camera`` may send now, 0 for "not yet".

        A grant is held until ``spend`` or ``cancel``.
        """
        state = self._camera(camera)
        self.offer(camera, now_ns)
        state.granted = 0
        if now_ns < state.due_ns:
            return 0
        tokens = min(state.tokens, self._tokens)
        room = math.floor(min(tokens, self._room(now_ns))) - self._settings.overhead_bytes
        if room < self._packet(state, now_ns) - self._settings.overhead_bytes:
            return 0
        state.granted = min(room, self._settings.max_bytes)
        return state.granted

    def spend(self, camera: str, payload: int, now_ns: int) -> None:
        """Book ``payload`` bytes sent now; InvalidInputError above what was granted."""
        state = self._camera(camera)
        if not 0 <= payload <= state.granted:
            raise InvalidInputError('payload', payload, f'0..{state.granted} (granted)')
        self._fill(now_ns)
        wire = payload + self._settings.overhead_bytes
        state.granted = 0
        state.tokens -= wire
        self._tokens -= wire
        self._sent.append((now_ns, wire))
        self._next_due(state, now_ns)

    def cancel(self, camera: str, now_ns: int) -> None:
        """Give an unused grant back; it counts for the rate, so that failures do not spin."""
        state = self._camera(camera)
        state.granted = 0
        self._next_due(state, now_ns)

    def _next_due(self, state: _Camera, now_ns: int) -> None:
        # From the time it was due, not from now: a camera's frame grid must not lower the rate.
        period = int(SECOND_NS / self._settings.max_rate)
        state.due_ns = max(state.due_ns, now_ns - period) + period

    def wait_ns(self, camera: str, now_ns: int) -> int:
        """Return nanoseconds until ``grant`` may succeed, 0 for now; at times too few."""
        state = self._camera(camera)
        self._fill(now_ns)
        packet = self._packet(state, now_ns)
        speed = self._settings.bytes_per_second * self._share(state, now_ns)
        own_s = (packet - state.tokens) / speed
        all_s = (packet - self._tokens) / self._settings.bytes_per_second
        tokens_ns = math.ceil(max(0.0, own_s, all_s) * SECOND_NS)
        return max(state.due_ns - now_ns, tokens_ns, self._window_wait_ns(packet, now_ns))

    def _camera(self, camera: str) -> _Camera:
        if camera not in self._cameras:
            raise InvalidInputError('camera', camera, sorted(self._cameras))
        return self._cameras[camera]

    def _packet(self, state: _Camera, now_ns: int) -> int:
        planned = plan(self._settings, self._share(state, now_ns))
        return planned.payload + self._settings.overhead_bytes

    def _share(self, state: _Camera, now_ns: int) -> float:
        active = sum(other.weight for other in self._cameras.values()
                     if other is state or self._active(other, now_ns))
        return state.weight / active

    @staticmethod
    def _active(state: _Camera, now_ns: int) -> bool:
        return state.offered_ns is not None and now_ns - state.offered_ns < IDLE_NS

    def _fill(self, now_ns: int) -> None:
        elapsed = 0 if self._filled_ns is None else max(0, now_ns - self._filled_ns)
        self._filled_ns = max(now_ns, self._filled_ns or now_ns)
        gained = self._settings.bytes_per_second * elapsed / SECOND_NS
        self._tokens = min(self._tokens + gained, BUCKET_PACKETS * self._settings.ceiling)
        for state in self._cameras.values():
            most = BUCKET_PACKETS * self._packet(state, now_ns)
            own = gained * self._share(state, now_ns)
            state.tokens = min(state.tokens + own, max(state.tokens, most))

    def _room(self, now_ns: int) -> int:
        while self._sent and now_ns - self._sent[0][0] >= WINDOW_NS:
            self._sent.popleft()
        promised = sum(state.granted + self._settings.overhead_bytes
                       for state in self._cameras.values() if state.granted)
        return self._settings.ceiling - promised - sum(wire for _, wire in self._sent)

    def _window_wait_ns(self, packet: int, now_ns: int) -> int:
        room = self._room(now_ns)
        for sent_ns, wire in self._sent:
            if room >= packet:
                break
            room += wire
            if room >= packet:
                return sent_ns + WINDOW_NS - now_ns
        return 0
