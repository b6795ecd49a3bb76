"""How large a picture is and how often one comes, for given limits of the link."""
from __future__ import annotations

from dataclasses import dataclass, replace
import math

from gsc_ros.codec.errors import InvalidInputError

# Age costs a moving camera more than bytes gain: docs/MEASURED.md, "Live streams".
LATENCY_S = 0.2


@dataclass(frozen=True)
class BudgetSettings:
    """
    Limits of all cameras together.

    ``bytes_per_second`` counts on the wire: payload, and ``overhead_bytes`` for each datagram of
    at most ``fragment_bytes`` payload (None: a packet is one datagram). ``max_rate`` is pictures
    per second of one camera; ``min_bytes`` and ``max_bytes`` bound one packet's payload. No
    packet is planned that takes the link longer than ``latency_s``, unless it is the ``smallest``.
    """

    bytes_per_second: int
    max_rate: float
    min_bytes: int
    max_bytes: int
    overhead_bytes: int = 0
    fragment_bytes: int | None = None
    latency_s: float = LATENCY_S

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
        if self.fragment_bytes is not None and self.fragment_bytes <= 0:
            raise InvalidInputError('fragment_bytes', self.fragment_bytes, 'above 0, or None')
        if not self.latency_s > 0:
            raise InvalidInputError('latency_s', self.latency_s, 'above 0')

    def wire(self, payload: int) -> int:
        """Bytes on the wire of a packet of ``payload`` bytes."""
        datagrams = 1
        if self.fragment_bytes is not None:
            datagrams = max(1, math.ceil(payload / self.fragment_bytes))
        return payload + datagrams * self.overhead_bytes

    def payload(self, wire: int) -> int:
        """Return the largest payload that takes at most ``wire`` bytes on the wire, 0 if none."""
        if self.fragment_bytes is None:
            return max(0, wire - self.overhead_bytes)
        datagrams, rest = divmod(max(0, wire), self.fragment_bytes + self.overhead_bytes)
        return datagrams * self.fragment_bytes + max(0, rest - self.overhead_bytes)

    @property
    def ceiling(self) -> int:
        """
        Most bytes on the wire in any window of one second.

        One smallest packet must fit, else nothing could be sent over a very thin link.
        """
        return max(self.bytes_per_second, self.wire(self.min_bytes))

    @property
    def smallest(self) -> int:
        """
        Least payload to plan: ``min_bytes``, and what would be left of a second otherwise.

        A second with room for one packet of ``min_bytes``, but not for two, carries one anyway.
        """
        wire = self.ceiling // (self.ceiling // self.wire(self.min_bytes))
        return max(self.min_bytes, min(self.max_bytes, self.payload(wire)))

    @property
    def largest(self) -> int:
        """Most payload to grant, so that the packet leaves in time."""
        wire = min(self.ceiling, int(self.latency_s * self.bytes_per_second))
        return max(self.smallest, min(self.max_bytes, self.payload(wire)))


@dataclass(frozen=True)
class Plan:
    """What a camera aims at: ``payload`` bytes a picture at ``rate`` pictures per second."""

    payload: int
    rate: float


def plan(settings: BudgetSettings, share: float = 1.0, offered: float = math.inf,
         latency_s: float = 0.0) -> Plan:
    """
    Choose picture size and rate for a camera that has ``share`` (0..1] of the bytes.

    As many pictures a second as the camera offers and ``max_rate`` allows while a picture keeps
    ``smallest``; below that fewer pictures, not smaller ones. No picture is planned above
    ``max_bytes``, nor so large that it takes the link longer than ``latency_s``, if that is more
    than the settings say.
    """
    speed = settings.bytes_per_second * share
    if latency_s > settings.latency_s:
        settings = replace(settings, latency_s=latency_s)
    fastest = min(settings.max_rate, offered)
    even = settings.payload(int(speed / fastest))
    payload = max(settings.smallest, min(even, settings.largest))
    return Plan(payload, min(fastest, speed / settings.wire(payload)))
