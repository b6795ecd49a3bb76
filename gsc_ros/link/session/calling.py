"""When a robot says HELLO, and how long it takes silence for a pause between reports."""
from __future__ import annotations

from gsc_ros.units import SECOND_NS

# Without a session, or asked for it, a robot says HELLO so often; with one it does more rarely,
# while it hears nothing.
HELLO_PERIOD_NS = SECOND_NS
HELLO_SILENT_NS = 4 * SECOND_NS
# An answer that took longer followed lost calls, and is no measure of a round trip.
LONGEST_ANSWER_NS = 15 * SECOND_NS
# So many reports may be lost in a row.
PERIODS = 3


class Calling:
    """Times of HELLO and of what the base station says; without a key of the latter alone."""

    def __init__(self, silence_ns: int) -> None:
        """``silence_ns``: the base station is there at least so long after it was heard."""
        self._silence_ns = silence_ns
        self._heard_ns: int | None = None
        self._hello_ns: int | None = None
        self._called_ns: int | None = None  # when HELLO was said first for the next session
        self._answered_after_ns = 0
        self._period_ns = self._interval_ns = 0  # of reports: as told, between the last two

    def due(self, now_ns: int, *, wanted: bool, round_trip_ns: int | None) -> bool:
        """Tell whether to say HELLO; ``wanted``: there is no session, or it is asked for."""
        if wanted:
            period_ns = HELLO_PERIOD_NS
        elif not self.connected(now_ns, round_trip_ns):
            period_ns = HELLO_SILENT_NS
        else:
            return False
        return self._hello_ns is None or now_ns - self._hello_ns >= period_ns

    def said(self, now_ns: int) -> None:
        """Note a HELLO."""
        self._hello_ns = now_ns
        self._called_ns = now_ns if self._called_ns is None else self._called_ns

    def answered(self, period_ns: int, now_ns: int) -> None:
        """Note that a session begins, with the base station's report period."""
        self._period_ns = period_ns
        if self._called_ns is not None:
            self._answered_after_ns = min(now_ns - self._called_ns, LONGEST_ANSWER_NS)
            self._called_ns = None

    def reported(self, interval_ns: int) -> None:
        """Note the time between the last two reports."""
        self._interval_ns = interval_ns

    def heard(self, now_ns: int) -> None:
        """Note a sign of life of the base station."""
        self._heard_ns = now_ns

    def silent_ns(self, now_ns: int) -> int | None:
        """Return for how long nothing was heard, None if never."""
        return None if self._heard_ns is None else now_ns - self._heard_ns

    def connected(self, now_ns: int, round_trip_ns: int | None) -> bool:
        """Tell whether the base station was heard lately, for how often it reports."""
        silence_ns = max(self._silence_ns, PERIODS * self._period_ns, PERIODS * self._interval_ns)
        # A session that has just begun is silent for a round trip.
        silence_ns += round_trip_ns or self._answered_after_ns
        silent_ns = self.silent_ns(now_ns)
        return silent_ns is not None and silent_ns < silence_ns
