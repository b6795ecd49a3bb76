"""Which run of the robot's end a base station hears, and whether two robots speak to it."""
from __future__ import annotations

from collections import OrderedDict
from enum import auto, Enum

from gsc_ros.units import SECOND_NS

MOST_REPLACED = 16
# Without a key, what a run sent before it was replaced may come so much later.
LATE_NS = 5 * SECOND_NS
# Without a key, a run shows 8 bits only: after so long another may have them.
FORGET_NS = 30 * SECOND_NS
# After two robots were heard, the one that is there is kept until the other has not tried for so
# long.
SHARED_NS = 60 * SECOND_NS


class Heard(Enum):
    """What a datagram's run says."""

    SAME = auto()      # the run that is known
    FIRST = auto()     # no run was known
    RESTART = auto()   # the robot was started again
    RETURNED = auto()  # a run that had been replaced: there are two robots
    LATE = auto()      # sent before its run was replaced, or by a robot that is to be ignored


class Runs:
    """
    Tells a restarted robot from two robots under one key, or on one link without a key.

    A run that has ended never speaks again: one that does after another took its place belongs
    to a second robot. From then on the robot that is there is kept while it is heard, so that
    the two do not interrupt each other all the time.
    """

    def __init__(self) -> None:
        """Know no run."""
        self.current: int | None = None
        self._replaced: OrderedDict[int, int] = OrderedDict()  # run: when [ns]
        self._shared_ns: int | None = None

    def heard(self, run: int, now_ns: int, *, live: bool, proven: bool) -> Heard:
        """
        Take the run of a datagram.

        :param live: whether the current run was heard lately.
        :param proven: whether the datagram was certainly made just now.
        """
        if run == self.current:
            return Heard.SAME
        if self.refuses(run, now_ns, live=live):
            return Heard.LATE
        if not proven:
            self._forget(now_ns)
            if now_ns - self._replaced.get(run, now_ns - LATE_NS) < LATE_NS:
                return Heard.LATE
        returned = run in self._replaced
        if returned:
            self._shared_ns = now_ns
        first = self.current is None
        self._change(run, now_ns)
        return Heard.FIRST if first else Heard.RETURNED if returned else Heard.RESTART

    def refuses(self, run: int, now_ns: int, *, live: bool) -> bool:
        """Tell whether a run is to be ignored, because another robot of two is there."""
        shared = self._shared_ns is not None and now_ns - self._shared_ns < SHARED_NS
        if not shared or not live or run == self.current:
            return False
        self._shared_ns = now_ns
        return True

    def _forget(self, now_ns: int) -> None:
        for run, replaced_ns in list(self._replaced.items()):
            if now_ns - replaced_ns >= FORGET_NS:
                del self._replaced[run]

    def _change(self, run: int, now_ns: int) -> None:
        if self.current is not None:
            self._replaced[self.current] = now_ns
            self._replaced.move_to_end(self.current)
        self._replaced.pop(run, None)
        while len(self._replaced) > MOST_REPLACED:
            self._replaced.popitem(last=False)
        self.current = run
