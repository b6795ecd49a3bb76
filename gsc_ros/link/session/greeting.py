"""Whom a base station answers that is not in its session, and how often."""
from __future__ import annotations

from collections import OrderedDict

from gsc_ros.link.session.ciphering import BaseSession
from gsc_ros.link.wire.crypto import Sealed, Word
from gsc_ros.units import SECOND_NS

# A word is answered at once, again when the next HELLO comes a second later, then less and less
# often: a robot takes another word for its next session, so that one that comes again and again
# has bad luck or is a replay.
AGAIN_NS = 800_000_000
AGAIN_LONGEST_NS = 8 * SECOND_NS
MOST_WORDS = 256
# All words together: so many answers at once, and one more in this time. Words that come for the
# first time are counted apart from those that come again, so that replays do not delay a robot.
BURST = 4
REFILL_NS = 2 * SECOND_NS
# HELLO is asked for at most so often.
WANTED_NS = SECOND_NS


class Allowance:
    """So many at once, and one more each ``REFILL_NS``."""

    def __init__(self) -> None:
        """Start with a whole burst."""
        self._left_ns = BURST * REFILL_NS
        self._asked_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Take one, if there is one left."""
        elapsed_ns = 0 if self._asked_ns is None else max(0, now_ns - self._asked_ns)
        self._asked_ns = now_ns
        self._left_ns = min(self._left_ns + elapsed_ns, BURST * REFILL_NS)
        if self._left_ns < REFILL_NS:
            return False
        self._left_ns -= REFILL_NS
        return True


class Greeting:
    """
    Makes ANSWERs to robots that prove the key, and asks for HELLO while no robot is heard.

    At most one datagram waits to leave; ``take`` gives it away. Nothing is kept of a stranger.
    """

    def __init__(self, session: BaseSession, period_ms: int) -> None:
        """``period_ms``: of our reports, told to robots."""
        self._session, self._period_ms = session, period_ms
        self._words: OrderedDict[Word, tuple[int, int]] = OrderedDict()  # answers, when last
        self._first, self._again = Allowance(), Allowance()
        self._wanted_ns: int | None = None
        self.waiting: bytes | None = None

    def hello(self, robot: Word, now_ns: int) -> None:
        """Answer a robot that has proved the key, unless that happens too often."""
        count, last_ns = self._words.get(robot, (0, 0))
        pause_ns = min(AGAIN_NS << min(count, 8) >> 1, AGAIN_LONGEST_NS)
        if count and now_ns - last_ns < pause_ns:
            return
        if not (self._again if count else self._first).take(now_ns):
            return
        self._words[robot] = count + 1, now_ns
        self._words.move_to_end(robot)
        if len(self._words) > MOST_WORDS:
            self._words.popitem(last=False)
        self.waiting = self._session.answer(robot, self._period_ms)

    def unknown(self, sealed: Sealed, now_ns: int, *, live: bool) -> None:
        """Ask the sender of an unknown session's datagram for HELLO, while no robot is heard."""
        if live or (self._wanted_ns is not None
                    and 0 <= now_ns - self._wanted_ns < WANTED_NS):
            return
        self._wanted_ns = now_ns
        if self.waiting is None:
            self.waiting = self._session.want_hello(sealed)

    def take(self) -> bytes | None:
        """Return what has to leave now; it is given away, whether or not it can leave."""
        waiting, self.waiting = self.waiting, None
        return waiting
