"""What the link has told the encoder of one stream; safe between threads. No ROS."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import threading
from typing import Any, Protocol

from gsc_ros.link.session.control import Control

# The link says something once a second: after this long it is gone.
EXPIRY_NS = 5_000_000_000
MOST_ACKNOWLEDGED = 1024


class References(Protocol):
    """What the encoder keeps of pictures that later ones may refer to."""

    def acknowledge(self, sequence: int) -> None:
        """Note that the base station holds a picture."""

    def refresh(self) -> None:
        """Forget all: the next packet stands alone."""


@dataclass(frozen=True)
class Advice:
    """The lasting part of a StreamFeedback; 0 where the encoder's own parameters hold."""

    control: Control = Control()
    bytes_per_second: int = 0
    overhead_bytes: int = 0
    fragment_bytes: int = 0


NO_ADVICE = Advice()


class Feedback:
    """Takes StreamFeedback messages in one thread, hands on what they say in another."""

    def __init__(self) -> None:
        """Start without a link."""
        self._lock = threading.Lock()
        self._acknowledged: deque[int] = deque(maxlen=MOST_ACKNOWLEDGED)
        self._refresh = False
        self._advice = NO_ADVICE
        self._taken_ns: int | None = None

    def take(self, msg: Any, now_ns: int) -> None:
        """Note a gsc_msgs/StreamFeedback."""
        control = Control(bool(msg.paused), float(msg.rate), float(msg.quality),
                          tuple(float(edge) for edge in msg.roi),  # type: ignore[arg-type]
                          float(msg.priority))
        advice = Advice(control, int(msg.bytes_per_second), int(msg.overhead_bytes),
                        int(msg.fragment_bytes))
        with self._lock:
            if msg.refresh:
                self._acknowledged.clear()
                self._refresh = True
            self._acknowledged.extend(int(sequence) for sequence in msg.acknowledged)
            self._advice, self._taken_ns = advice, now_ns

    def advice(self, now_ns: int) -> Advice | None:
        """Return what holds now; None while no link is there."""
        with self._lock:
            if self._taken_ns is None or now_ns - self._taken_ns >= EXPIRY_NS:
                return None
            return self._advice

    def hand_on(self, references: References) -> bool:
        """Tell ``references`` what has come since the last call; true for a refresh."""
        with self._lock:
            refresh, self._refresh = self._refresh, False
            acknowledged = list(self._acknowledged)
            self._acknowledged.clear()
        if refresh:
            references.refresh()
        for sequence in acknowledged:
            references.acknowledge(sequence)
        return refresh
