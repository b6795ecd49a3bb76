"""One camera of a sender: what has been sent of it, how much it moves, what the link says."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import SenderReferences
from gsc_ros.codec.regions import Focus
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.feedback import FeedbackInbox, Limits, NO_LIMITS
from gsc_ros.link.session.control import WHOLE_PICTURE
from gsc_ros.scene.change import make_thumbnail, scene_distance
from gsc_ros.units import SECOND_NS
import numpy as np

# Mean change of a thumbnail's cell between two pictures of a slow drive [grey levels].
TYPICAL_CHANGE = 12.0
STILL_ACTIVITY, STILL_RATE = 0.05, 2.0     # below which a scene stands still, pictures a second
RATE_PICTURES = 8   # about so many count for the rate at which pictures come


class Camera:
    """
    State of one camera between two packets.

    ``activity`` is the latest change of the picture, 1 for that of a slow drive; ``rate`` how
    many pictures a second it gives, None before that is known; ``sequence`` the number of the
    next packet.
    """

    def __init__(self, counters: Counter[str]) -> None:
        """Count into ``counters`` what is sent and why it is not."""
        self.activity = 1.0
        self.rate: float | None = None
        self.sequence = 0
        self.inbox = FeedbackInbox()
        self.counters = counters
        self._references = SenderReferences()
        self._thumbnail: np.ndarray | None = None
        self._offered_ns: int | None = None
        self._last: tuple[int, int] | None = None   # wire bytes of the last packet, when

    def offered(self, now_ns: int) -> None:
        """Measure how often pictures come."""
        if self._offered_ns is not None and now_ns > self._offered_ns:
            rate = SECOND_NS / (now_ns - self._offered_ns)
            known = rate if self.rate is None else self.rate
            self.rate = known + (rate - known) / RATE_PICTURES
        self._offered_ns = now_ns

    @property
    def wanted(self) -> tuple[float | None, float | None]:
        """
        Pictures a second worth sending, and seconds that one may take the link; None: as set.

        Where nothing moves age costs nothing: fewer pictures, and better ones.
        """
        if self.activity >= STILL_ACTIVITY:
            return self.rate, None
        return min(self.rate or STILL_RATE, STILL_RATE), 1 / STILL_RATE

    def limits(self, now_ns: int) -> Limits:
        """Return what the link says now, nothing without one."""
        return self.inbox.limits(now_ns) or NO_LIMITS

    def hold_ns(self, now_ns: int) -> int | None:
        """Nanoseconds until operators let the next picture go, 0 for now, None when paused."""
        control = self.limits(now_ns).control
        if control.paused:
            return None
        if not control.rate or self._last is None:
            return 0
        size, sent_ns = self._last
        return max(0, sent_ns + int(size / control.rate * SECOND_NS) - now_ns)

    def ceiling(self, granted: int, smallest: int, now_ns: int) -> int:
        """Bytes that the next packet may have of those granted, at least ``smallest``."""
        wanted = int(granted * self.limits(now_ns).control.quality)
        return min(granted, max(smallest, wanted))

    def focus(self, objects: Sequence[SceneObject], strength: float, now_ns: int) -> Focus:
        """Where the bytes go: the region that an operator asked for, else the objects."""
        roi = self.limits(now_ns).control.roi
        return Focus.on(objects, strength) if roi == WHOLE_PICTURE else Focus([roi], strength)

    def references(self, now_ns: int) -> SenderReferences | None:
        """Return the pictures that the base station holds; None while no link says which."""
        if self.inbox.limits(now_ns) is None:
            self._references.refresh()
            return None
        if self.inbox.hand_on(self._references):
            self.counters['refreshes'] += 1
        return self._references

    def watch(self, picture: np.ndarray) -> None:
        """Note by how much a picture (H, W, 3) uint8 differs from the one before."""
        thumbnail = make_thumbnail(picture)
        if self._thumbnail is not None:
            self.activity = scene_distance(self._thumbnail, thumbnail) / TYPICAL_CHANGE
        self._thumbnail = thumbnail

    def sent(self, size: int, now_ns: int) -> None:
        """Count a packet of ``size`` bytes that leaves now."""
        self.sequence = (self.sequence + 1) % SEQUENCES
        self._last = size + self.limits(now_ns).overhead_bytes, now_ns
        self.counters['encoded'] += 1
        self.counters['bytes'] += size
