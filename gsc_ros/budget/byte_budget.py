"""
How many bytes a camera may send now: rate and picture size chosen together, with a hard ceiling.

Each camera has a token bucket that fills with its share of the link; a sliding window over all
cameras holds the ceiling. Time is an argument (``now_ns``, any monotonic clock in nanoseconds).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math

from gsc_ros.budget.ceiling import WINDOW_NS, WindowCeiling
from gsc_ros.budget.plan import BudgetSettings, Plan, plan
from gsc_ros.budget.sharing import Demand, share
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.units import SECOND_NS

__all__ = ['BUCKET_PACKETS', 'BudgetSettings', 'ByteBudget', 'Plan', 'plan']

# Bytes that an encoder saved on one picture may go into the next, up to this many planned packets.
BUCKET_PACKETS = 2


@dataclass
class _Camera:
    demand: Demand
    tokens: float = 0.0  # bytes on the wire
    due_ns: int = 0
    granted: int = 0  # payload promised and not yet spent
    waiting: bool = False  # has asked, and was not served since


class ByteBudget:
    """Shares a link between cameras; ask ``grant``, encode, then ``spend`` or ``cancel``."""

    def __init__(self, weights: Mapping[str, float], settings: BudgetSettings) -> None:
        """``weights`` maps each camera to its positive weight (InvalidInputError otherwise)."""
        if not weights:
            raise InvalidInputError('weights', dict(weights), 'at least one camera')
        for camera, weight in weights.items():
            _check_weight(camera, weight)
        self._settings = settings
        self._cameras = {camera: _Camera(Demand(weight)) for camera, weight in weights.items()}
        self._window = WindowCeiling(settings.ceiling)
        self._filled_ns: int | None = None

    @property
    def settings(self) -> BudgetSettings:
        """The limits in force."""
        return self._settings

    def change(self, settings: BudgetSettings) -> None:
        """Take new limits from now on; what was sent before still counts in the window."""
        self._settings = settings
        self._window.change(settings.ceiling)

    def prioritise(self, camera: str, weight: float) -> None:
        """Give a camera another positive weight (InvalidInputError otherwise)."""
        state = self._camera(camera)
        _check_weight(camera, weight)
        state.demand.weight = weight

    def plan(self, camera: str, now_ns: int) -> Plan:
        """Return what ``camera`` aims at, given which cameras are active."""
        state = self._camera(camera)
        return plan(self._settings, self._share(state, now_ns), state.demand.rate,
                    state.demand.latency_s)

    def offer(self, camera: str, now_ns: int, activity: float | None = None,
              rate: float | None = None, latency_s: float | None = None) -> None:
        """
        Note that ``camera`` has a picture: it takes part in sharing.

        ``activity`` says how much the picture changed, 0 or more, in a unit that is the same for
        all cameras (InvalidInputError otherwise); None: as before, 1 at first. ``rate`` says how
        many pictures a second are worth sending; None: as before, all at first. ``latency_s`` is
        how long one may take the link where that is more than the settings say.
        """
        state = self._camera(camera)
        self._fill(now_ns)
        first = state.demand.offered_ns is None
        state.demand.offer(now_ns, activity)
        if rate is not None:
            state.demand.rate = rate
            state.demand.latency_s = latency_s or 0.0
        if first:
            state.tokens = self._packet(state, now_ns)  # the first picture goes out at once

    def grant(self, camera: str, now_ns: int) -> int:
        """
        Largest payload that ``camera`` may send now, 0 for "not yet".

        A grant is held until ``spend`` or ``cancel``.
        """
        state = self._camera(camera)
        self.offer(camera, now_ns)
        state.granted, state.waiting = 0, True
        # 1. not before its time
        if self._due_in_ns(state, now_ns) > 0:
            return 0
        # 2. not before it has saved for a packet, and the link has room beside what others claim
        packet = self._packet(state, now_ns)
        free = self._window.room(now_ns) - self._promised() - self._claimed(state, now_ns)
        if min(math.floor(state.tokens), free) < packet:
            return 0
        # 3. as planned, whatever else is free: what is saved makes pictures come sooner, not later
        state.granted = self._settings.payload(packet)
        return state.granted

    def spend(self, camera: str, payload: int, now_ns: int) -> None:
        """Book ``payload`` bytes sent now; InvalidInputError above what was granted."""
        state = self._camera(camera)
        if not 0 <= payload <= state.granted:
            raise InvalidInputError('payload', payload, f'0..{state.granted} (granted)')
        self._fill(now_ns)
        wire = self._settings.wire(payload)
        state.granted = 0
        state.waiting = False
        state.tokens -= wire
        self._window.sent(wire, now_ns)
        self._next_due(state, now_ns)

    def cancel(self, camera: str, now_ns: int) -> None:
        """Give an unused grant back; it counts for the rate, so that failures do not spin."""
        state = self._camera(camera)
        state.granted = 0
        state.waiting = False
        self._next_due(state, now_ns)

    def _next_due(self, state: _Camera, now_ns: int) -> None:
        # From the time it was due, not from now: a camera's frame grid must not lower the rate.
        period_ns = self._period_ns
        state.due_ns = now_ns + max(0, period_ns + min(0, self._due_in_ns(state, now_ns)))

    def _due_in_ns(self, state: _Camera, now_ns: int) -> int:
        # A longer wait than a period comes from a clock that jumped, or from a lower rate before.
        wait_ns = state.due_ns - now_ns
        return wait_ns if wait_ns <= self._period_ns else 0

    @property
    def _period_ns(self) -> int:
        return int(SECOND_NS / self._settings.max_rate)

    def wait_ns(self, camera: str, now_ns: int) -> int:
        """Return nanoseconds until ``grant`` may succeed, 0 for now; at times too few."""
        state = self._camera(camera)
        self._fill(now_ns)
        packet = self._packet(state, now_ns)
        speed = self._settings.bytes_per_second * self._share(state, now_ns)
        tokens_ns = math.ceil(max(0.0, (packet - state.tokens) / speed) * SECOND_NS)
        wanted = packet + self._promised() + self._claimed(state, now_ns)
        window_ns = self._window.wait_ns(min(wanted, self._settings.ceiling), now_ns)
        return max(self._due_in_ns(state, now_ns), tokens_ns, window_ns)

    def _camera(self, camera: str) -> _Camera:
        if camera not in self._cameras:
            raise InvalidInputError('camera', camera, sorted(self._cameras))
        return self._cameras[camera]

    def _packet(self, state: _Camera, now_ns: int) -> int:
        """Bytes on the wire of a packet as planned."""
        planned = plan(self._settings, self._share(state, now_ns), state.demand.rate,
                       state.demand.latency_s)
        return self._settings.wire(planned.payload)

    def _share(self, state: _Camera, now_ns: int) -> float:
        return share(state.demand, (other.demand for other in self._active(now_ns)))

    def _active(self, now_ns: int) -> list[_Camera]:
        return [state for state in self._cameras.values() if state.demand.active(now_ns)]

    def _promised(self) -> int:
        return sum(self._settings.wire(state.granted)
                   for state in self._cameras.values() if state.granted)

    def _claimed(self, state: _Camera, now_ns: int) -> int:
        """Bytes of cameras that wait and come first, whoever asks first."""
        claim = self._claim(state, now_ns)
        return sum(self._packet(other, now_ns) for other in self._active(now_ns)
                   if other.waiting and not other.granted and self._due_in_ns(other, now_ns) <= 0
                   and self._claim(other, now_ns) > max(claim, (1.0, 0)))

    def _claim(self, state: _Camera, now_ns: int) -> tuple[float, int]:
        """Who has saved more pictures comes first, then who was served longer ago."""
        return state.tokens / self._packet(state, now_ns), -state.due_ns

    def _fill(self, now_ns: int) -> None:
        since_ns = now_ns if self._filled_ns is None else min(self._filled_ns, now_ns)
        self._filled_ns = now_ns
        # A little less than the window lets through, so that shares decide and not who is first.
        gained = self._settings.bytes_per_second * (now_ns - since_ns) / WINDOW_NS
        for state in self._active(since_ns):
            own = gained * self._share(state, since_ns)
            most = BUCKET_PACKETS * self._packet(state, now_ns)
            state.tokens = min(state.tokens + own, max(state.tokens, most))


def _check_weight(camera: str, weight: float) -> None:
    if not 0 < weight < math.inf:
        raise InvalidInputError(f'weight of {camera}', weight, 'above 0, finite')
