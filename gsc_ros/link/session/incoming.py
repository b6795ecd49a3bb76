"""What a base station keeps of each stream: facts, stamps, which pictures came."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gsc_ros.link.session.replay import ahead
from gsc_ros.link.wire.blobs import expand_stamp, StreamFacts
from gsc_ros.link.wire.reports import Ack, ACK_BITS

RECENT_PICTURES = 32
# A picture is acknowledged in so many reports, because reports get lost.
ACK_REPORTS = 3


@dataclass
class Incoming:
    """One stream as it comes in."""

    facts: StreamFacts | None = None
    stamp_ns: int | None = None  # a late one, to which others are near
    unreported: int = 0          # reports that still have to acknowledge the latest pictures
    recent: deque[tuple[int, int]] = field(
        default_factory=lambda: deque(maxlen=RECENT_PICTURES))

    def take(self, sequence: int, stamp: int, near_ns: int) -> int | None:
        """Return a picture's full stamp [ns], None if it came before; ``near_ns``: a guess."""
        if (sequence, stamp) in self.recent:
            return None
        if self._started_again(sequence, stamp):
            self.forget_pictures()
        self.recent.append((sequence, stamp))
        self.unreported = ACK_REPORTS
        self.stamp_ns = expand_stamp(stamp, near_ns if self.stamp_ns is None else self.stamp_ns)
        return self.stamp_ns

    def _started_again(self, sequence: int, stamp: int) -> bool:
        """Tell whether numbers went back while stamps did not: another run of the encoder."""
        if not self.recent:
            return False
        last_sequence, last_stamp = self.recent[-1]
        return ahead(sequence, last_sequence) <= 0 and ahead(stamp, last_stamp, 32) > 0

    def forget_pictures(self) -> None:
        """Acknowledge nothing that came before."""
        self.recent.clear()
        self.unreported = 0

    def forget(self) -> None:
        """Forget facts and pictures: the number may be another camera's now."""
        self.facts = None
        self.forget_pictures()

    def ack(self, stream_id: int) -> Ack:
        """Return which of the last 17 sequence numbers came, counted from the latest picture."""
        newest = self.recent[-1][0]
        before = 0
        for sequence, _ in self.recent:
            distance = ahead(newest, sequence)
            if 1 <= distance <= ACK_BITS:
                before |= 1 << (distance - 1)
        return Ack(stream_id, newest, before)
