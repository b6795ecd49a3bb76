"""The live path without nodes and link: what of a clip is sent, and what becomes of it."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsc_ros.budget.byte_budget import BudgetSettings, ByteBudget
from gsc_ros.codec.errors import BudgetError
from gsc_ros.codec.references import ReceiverReferences, SenderReferences, SEQUENCES
from gsc_ros.evaluation.candidates import (
    Candidate,
    candidate,
    OurCodec,
    OurCodecs,
    PLAIN,
    Words,
)
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.scene.change import SceneChange
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture
    from gsc_ros.prior.steady import LastPicture

_CAMERA = 'camera'


@dataclass(frozen=True)
class LiveSettings:
    """How the robot is set; the defaults are those of the encoder node."""

    max_rate: float = ENCODER['max_rate'].default
    max_bytes: int = ENCODER['max_bytes'].default
    min_bytes: int = ENCODER['min_bytes'].default
    overhead_bytes: int = ENCODER['overhead_bytes'].default
    max_width: int = ENCODER['max_width'].default
    max_objects: int = ENCODER['max_objects'].default
    rtt_s: float = 1.0     # from sending a packet until its acknowledgement is there

    def budget(self, kbps: float) -> BudgetSettings:
        """Limits on a link of ``kbps`` (1000 bit/s)."""
        return BudgetSettings(int(kbps * 125), self.max_rate, self.min_bytes, self.max_bytes,
                              self.overhead_bytes)


@dataclass(frozen=True)
class Sent:
    """A picture that was sent: its place in the clip and what each codec made of it."""

    index: int
    sent_ns: int
    data: bytes
    decoded: dict[str, DecodedPicture]
    outputs: dict[str, Candidate]
    words: Words     # the robot's own, before they were cut to fit


class Scenes:
    """Words of the current scene, renewed as the encoder node does."""

    def __init__(self, ours: OurCodecs, max_objects: int) -> None:
        self._ours, self._change = ours, SceneChange(ENCODER['scene_change'].default)
        self._period_ns = ENCODER['scene_period'].default * 1e9
        self._refresh_ns = ENCODER['scene_refresh'].default * 1e9
        self._max_objects = max_objects
        self._looked_ns: int | None = None
        self._words = Words()

    def words(self, picture: np.ndarray, now_ns: int) -> Words:
        """
        Return what was seen before; look again if the scene has changed or that is old.

        The node's detector takes its time: what it sees goes with the next picture.
        """
        known = self._words
        age = None if self._looked_ns is None else now_ns - self._looked_ns
        if age is not None and age >= self._refresh_ns:
            self._change.reset()
        if (age is None or age >= self._period_ns) and self._change.update(picture):
            seen = self._ours.describe(picture)
            self._words = Words(seen.caption, seen.objects[:self._max_objects])
            self._looked_ns = now_ns
        return known


class Stream:
    """One camera's encoder and its receivers, one for each way of decoding."""

    def __init__(self, ours: OurCodecs, codecs: Sequence[OurCodec], live: LiveSettings
                 ) -> None:
        self._ours, self._codecs, self._rtt_ns = ours, codecs, round(live.rtt_s * 1e9)
        self._scenes = Scenes(ours, live.max_objects) if codecs[0].describes else None
        self._sender = SenderReferences()
        self._receivers = {c.name: ReceiverReferences() for c in codecs}
        self._last = {c.name: _last_picture() for c in codecs if c.output != PLAIN}
        self._acks: deque[tuple[int, int]] = deque()   # when it arrives, sequence
        self._sequence = 0

    def send(self, index: int, picture: np.ndarray, room: int, now_ns: int) -> Sent:
        """Encode and decode a picture."""
        while self._acks and self._acks[0][0] <= now_ns:
            self._sender.acknowledge(self._acks.popleft()[1])
        words = self._scenes.words(picture, now_ns) if self._scenes else Words()
        began = self._ours.clock()
        data = self._ours.encode(picture, room, self._codecs[0], words, sequence=self._sequence,
                                 references=self._sender)
        encode_s = self._ours.clock() - began
        self._acks.append((now_ns + self._rtt_ns, self._sequence))
        self._sequence = (self._sequence + 1) % SEQUENCES
        decoded, outputs = {}, {}
        for codec in self._codecs:
            one, decode_s = self._ours.decode(data, codec, references=self._receivers[codec.name],
                                              last=self._last.get(codec.name))
            decoded[codec.name] = one
            outputs[codec.name] = candidate(codec, data, one, encode_s, decode_s)
        return Sent(index, now_ns, data, decoded, outputs, words)


def _last_picture() -> LastPicture:
    from gsc_ros.prior.steady import LastPicture  # with torch, which plain pictures do without
    return LastPicture()


def send_clip(ours: OurCodecs, codecs: Sequence[OurCodec], frames: Sequence[np.ndarray],
              times_ns: Sequence[int], kbps: float, live: LiveSettings
              ) -> Iterator[Sent]:
    """
    Send the pictures of one camera as the encoder node would; nothing is lost on the way.

    :param codecs: names that differ in decoding only.
    :param frames: uint8 (H, W, 3), taken at ``times_ns``.
    """
    budget = ByteBudget({_CAMERA: 1.0}, live.budget(kbps))
    stream = Stream(ours, codecs, live)
    ends = [*times_ns[1:], times_ns[-1] + 1]
    for index, (picture, now_ns, end_ns) in enumerate(zip(frames, times_ns, ends, strict=True)):
        while now_ns < end_ns:   # until there is a newer picture
            room = budget.grant(_CAMERA, now_ns)
            if room:
                yield from _try(stream, budget, index, picture, room, now_ns)
                break
            now_ns += max(1_000_000, budget.wait_ns(_CAMERA, now_ns))


def _try(stream: Stream, budget: ByteBudget, index: int, picture: np.ndarray, room: int,
         now_ns: int) -> Iterator[Sent]:
    """Send, or give the grant back where no packet is that small."""
    try:
        sent = stream.send(index, picture, room, now_ns)
    except BudgetError:
        budget.cancel(_CAMERA, now_ns)
        return
    budget.spend(_CAMERA, len(sent.data), now_ns)
    yield sent
