"""What operators have asked of a stream, checked; the same rules at both ends."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire.datagrams import RequestKind as Ask

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)


# Allowed values of the kinds that take one; 0 takes a request back.
_RANGES = {Ask.RATE: (20.0, 1e8), Ask.QUALITY: (0.05, 1.0), Ask.PRIORITY: (0.01, 100.0)}
_REVOCABLE = (Ask.RATE, Ask.PRIORITY)


@dataclass(frozen=True)
class Control:
    """
    The requests in force for one stream.

    ``rate`` (wire bytes per second) and ``priority`` are 0 where nothing was asked for;
    ``quality`` is a share of a picture's bytes; ``roi`` is x_min, y_min, x_max, y_max, 0..1.
    """

    paused: bool = False
    rate: float = 0.0
    quality: float = 1.0
    roi: tuple[float, float, float, float] = WHOLE_PICTURE
    priority: float = 0.0

    def after(self, kind: int, values: Sequence[float]) -> Control:
        """
        Return what is in force after a request.

        :raises InvalidInputError: if it is unknown or its values are not allowed.
        """
        ask = check_request(kind, values)
        if ask in (Ask.PAUSE, Ask.RESUME):
            return replace(self, paused=ask is Ask.PAUSE)
        if ask is Ask.ROI:
            x_min, y_min, x_max, y_max = map(float, values)
            return replace(self, roi=(x_min, y_min, x_max, y_max))
        if ask is Ask.RATE:
            return replace(self, rate=float(values[0]))
        if ask is Ask.QUALITY:
            return replace(self, quality=float(values[0]))
        if ask is Ask.PRIORITY:
            return replace(self, priority=float(values[0]))
        return self


def check_request(kind: int, values: Sequence[float]) -> Ask:
    """
    Return the kind of a request that is sound.

    :raises InvalidInputError: if the kind is unknown or the values are not allowed.
    """
    if kind not in list(Ask) or kind == Ask.FACTS:  # the link's own
        raise InvalidInputError('request kind', kind, f'0..{Ask.PRIORITY}')
    ask = Ask(kind)
    wanted = 4 if ask is Ask.ROI else 1 if ask in _RANGES else 0
    name = f'values of {ask.name}'
    if len(values) != wanted or not all(map(math.isfinite, values)):
        raise InvalidInputError(name, list(values), f'{wanted} finite numbers')
    if ask in _RANGES:
        low, high = _RANGES[ask]
        revoked = ask in _REVOCABLE and values[0] == 0
        # float32 on the wire: 0.05 arrives as 0.0500000007
        if not revoked and not low * (1 - 1e-6) <= values[0] <= high:
            raise InvalidInputError(name, list(values), f'{low}..{high}')
    if ask is Ask.ROI and not all(
            0 <= low < high <= 1 for low, high in zip(values[:2], values[2:], strict=True)):
        raise InvalidInputError(name, list(values), '0 <= min < max <= 1')
    return ask
