"""Who gets how much of a link: by priority, and by how much each camera's picture changes."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.units import SECOND_NS

# A camera that has offered no picture for this long leaves its share to the others.
IDLE_NS = 3 * SECOND_NS
# This part of the link is shared by priority alone, so that a static camera keeps coming.
PRIORITY_PART = 0.25
# Activity is averaged over this time: shares drift, they do not jump with every picture.
ACTIVITY_NS = 4 * SECOND_NS


@dataclass
class Demand:
    """
    What speaks for a camera: its ``weight``, and how much its pictures change (0: not).

    ``rate`` is how many pictures a second are worth sending, ``latency_s`` how long one may take
    the link where that is more than the settings say.
    """

    weight: float
    activity: float = 1.0
    rate: float = math.inf
    latency_s: float = 0.0
    offered_ns: int | None = None

    def offer(self, now_ns: int, activity: float | None) -> None:
        """
        Note a picture whose ``activity`` is 0 or more; None leaves the activity as it is.

        :raises InvalidInputError: for an activity below 0 or not finite.
        """
        if activity is not None:
            if not 0 <= activity < math.inf:
                raise InvalidInputError('activity', activity, '0 or more, finite')
            self.activity += self._part(now_ns) * (activity - self.activity)
        self.offered_ns = now_ns

    def _part(self, now_ns: int) -> float:
        """How much of a new value counts, by the time since the last."""
        if not self.active(now_ns) or self.offered_ns is None:
            return 1.0
        return 1 - math.exp(-max(0, now_ns - self.offered_ns) / ACTIVITY_NS)

    def active(self, now_ns: int) -> bool:
        """Whether the camera takes part."""
        return self.offered_ns is not None and abs(now_ns - self.offered_ns) < IDLE_NS


def share(one: Demand, active: Iterable[Demand]) -> float:
    """
    Return what ``one`` gets, 0..1, among the ``active`` (it counts whether it is one or not).

    At least PRIORITY_PART of what its weight alone would give; the rest goes by weight times
    activity.
    """
    others = [other for other in active if other is not one]
    weights = one.weight + sum(other.weight for other in others)
    active_weight = one.weight * one.activity
    moving = active_weight + sum(other.weight * other.activity for other in others)
    by_weight = one.weight / weights
    by_activity = active_weight / moving if moving > 0 else by_weight
    return PRIORITY_PART * by_weight + (1 - PRIORITY_PART) * by_activity
