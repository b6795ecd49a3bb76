"""What the link has told a sender of one camera: acknowledgements, limits, operators' requests."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import threading

from gsc_ros.codec.references import SenderReferences
from gsc_ros.link.session.control import Control
from gsc_ros.units import SECOND_NS

# A link node speaks once a second: after this long it is gone.
EXPIRY_NS = 5 * SECOND_NS
MAX_ACKNOWLEDGED = 1024


@dataclass(frozen=True)
class Limits:
    """The lasting part of a feedback; 0 where the sender's own settings hold."""

    control: Control = Control()
    bytes_per_second: int = 0
    overhead_bytes: int = 0
    fragment_bytes: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Feedback:
    """
    What the link says of one stream at one time, as gsc_msgs/StreamFeedback.

    ``acknowledged`` are sequence numbers of pictures that the base station holds; with
    ``refresh`` it holds no others, and the next packet must stand alone.
    """

    acknowledged: tuple[int, ...] = ()
    refresh: bool = False
    limits: Limits = NO_LIMITS


class FeedbackInbox:
    """Takes feedback in one thread and hands it on in another."""

    def __init__(self) -> None:
        """Start without a link."""
        self._lock = threading.Lock()
        self._acknowledged: deque[int] = deque(maxlen=MAX_ACKNOWLEDGED)
        self._refresh = False
        self._limits = NO_LIMITS
        self._taken_ns: int | None = None

    def take(self, feedback: Feedback, now_ns: int) -> None:
        """Note what the link says; a refresh cancels earlier acknowledgements."""
        with self._lock:
            if feedback.refresh:
                self._acknowledged.clear()
                self._refresh = True
            self._acknowledged.extend(feedback.acknowledged)
            self._limits, self._taken_ns = feedback.limits, now_ns

    def limits(self, now_ns: int) -> Limits | None:
        """Return what holds now; None while no link speaks."""
        with self._lock:
            if self._taken_ns is None or now_ns - self._taken_ns >= EXPIRY_NS:
                return None
            return self._limits

    def hand_on(self, references: SenderReferences) -> bool:
        """Tell ``references`` what has come since the last call; true for a refresh."""
        with self._lock:
            refresh, self._refresh = self._refresh, False
            acknowledged = list(self._acknowledged)
            self._acknowledged.clear()
        if refresh:
            references.refresh()
        references.acknowledge(*acknowledged)
        return refresh
