"""The live path without nodes: a robot, its base station and a link that loses nothing."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Generic, TYPE_CHECKING

from gsc_ros.codec.errors import GscError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.codec_names import OurCodec
from gsc_ros.evaluation.our_codecs import Clock, OurCodecs
from gsc_ros.link.feedback import Feedback
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.receiver import Receiver, Refused, Shown, View
from gsc_ros.scene.watcher import RefreshRule, Scenes
from gsc_ros.sender import Frame, Outgoing, Sender, SenderSettings, Tag, Turn
from gsc_ros.units import SECOND_NS
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture

_CAMERA = 'camera'
_STEP_NS = 1_000_000    # least time between two looks at the budget


@dataclass(frozen=True)
class LiveSettings:
    """
    How the robot is set: parameters of the encoder node, by its defaults.

    ``rtt_s`` is the time from sending a packet until its acknowledgement is there.
    """

    max_rate: float = ENCODER['max_rate'].default
    max_bytes: int = ENCODER['max_bytes'].default
    min_bytes: int = ENCODER['min_bytes'].default
    overhead_bytes: int = ENCODER['overhead_bytes'].default
    max_width: int = ENCODER['max_width'].default
    max_objects: int = ENCODER['max_objects'].default
    rtt_s: float = 1.0

    def sender(self, kbps: float, **changes: float) -> SenderSettings:
        """Return settings for a link of ``kbps``; ``changes`` are parameters, too."""
        own = asdict(self)
        del own['rtt_s']
        speed = {'bytes_per_second': int(kbps * 125)}
        return SenderSettings.from_parameters(ENCODER.defaults() | own | speed | changes)


def live_scenes(ours: OurCodecs, codec: OurCodec) -> Scenes:
    """Scenes that are looked at as the encoder node does; without captions where none are sent."""
    def describe(picture: np.ndarray) -> tuple[str, list[SceneObject]]:
        scene = ours.describe(picture)
        return scene.caption if codec.text else '', list(scene.objects)

    return Scenes(describe, RefreshRule.from_parameters(ENCODER.defaults()))


@dataclass(frozen=True)
class Delivered(Generic[Tag]):
    """
    A packet that was sent and what the base station made of it.

    ``shown`` and ``decode_s`` are by the names of the receivers.
    """

    outgoing: Outgoing[Tag]
    sent_ns: int
    encode_s: float
    shown: dict[str, DecodedPicture]
    decode_s: dict[str, float]


class Rehearsal(Generic[Tag]):
    """
    The encoder node's and the decoder node's work on a clock that the caller moves.

    Nothing is lost on the way; acknowledgements come after a round trip. ``receivers`` are base
    stations that look at the same packets in different ways; ``failed`` collects the pictures
    that could not be sent.
    """

    def __init__(self, sender: Sender[Tag], receivers: Mapping[str, tuple[Receiver[Tag], View]],
                 scenes: Scenes | None, rtt_s: float, clock: Clock) -> None:
        self.failed: list[tuple[Tag, GscError]] = []
        self._sender, self._receivers, self._scenes = sender, receivers, scenes
        self._rtt_ns, self._clock = round(rtt_s * SECOND_NS), clock
        self._acknowledgements: deque[tuple[int, str, int]] = deque()   # when, camera, sequence
        self._heard_ns: dict[str, int] = {}

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras."""
        return self._sender.cameras

    def offer(self, camera: str, frame: Frame[Tag]) -> None:
        """Have a picture sent, instead of an older one that still waits."""
        self._sender.offer(camera, frame)

    def advance(self, now_ns: int, end_ns: int) -> Iterator[Delivered[Tag]]:
        """Send what may be sent from ``now_ns`` to before ``end_ns``."""
        while now_ns < end_ns:
            self._acknowledge(now_ns)
            turn = self._sender.next_turn(now_ns)
            if turn is not None:
                yield from self._send(turn, now_ns)
            elif self._sender.next_ns is None:
                return
            else:
                now_ns = max(now_ns + _STEP_NS, self._sender.next_ns)

    def _acknowledge(self, now_ns: int) -> None:
        """Let the link speak, which it does at least once a second."""
        while self._acknowledgements and self._acknowledgements[0][0] <= now_ns:
            _, camera, sequence = self._acknowledgements.popleft()
            self._sender.tell(camera, Feedback((sequence,)), now_ns)
        for camera in self._sender.cameras:
            self._sender.tell(camera, Feedback(), now_ns)

    def _send(self, turn: Turn[Tag], now_ns: int) -> Iterator[Delivered[Tag]]:
        began = self._clock()
        try:
            outgoing = self._sender.encode(turn, now_ns)
        except GscError as error:
            self.failed.append((turn.frame.tag, error))
            return
        encode_s = self._clock() - began
        self._sender.sent(outgoing, now_ns)
        while self._scenes is not None and self._scenes.look():
            pass    # the node's detector takes its time: what it sees goes with the next picture
        self._acknowledgements.append(
            (now_ns + self._rtt_ns, outgoing.camera, outgoing.packet.sequence))
        yield self._show(outgoing, now_ns, encode_s)

    def _show(self, outgoing: Outgoing[Tag], now_ns: int, encode_s: float) -> Delivered[Tag]:
        shown, decode_s = {}, {}
        for name, (receiver, view) in self._receivers.items():
            began = self._clock()
            receiver.take(outgoing.camera, outgoing.data, now_ns, outgoing.tag)
            for event in receiver.show(outgoing.camera, view, now_ns):
                if isinstance(event, Refused):
                    raise event.error   # nothing is lost here: our own decoder must read it
                if isinstance(event, Shown):
                    shown[name] = event.decoded
            decode_s[name] = self._clock() - began
        return Delivered(outgoing, now_ns, encode_s, shown, decode_s)


def rehearse_clip(ours: OurCodecs, codecs: Sequence[OurCodec], frames: Sequence[np.ndarray],
                  times_ns: Sequence[int], kbps: float, live: LiveSettings
                  ) -> Iterator[Delivered[int]]:
    """
    Send the pictures of one camera as the encoder node would; tags are their places in the clip.

    :param codecs: names that differ in decoding only.
    :param frames: uint8 (H, W, 3), taken at ``times_ns``.
    """
    run = _one_camera(ours, codecs, kbps, live)
    for index, (picture, now_ns, end_ns) in enumerate(zip(
            frames, times_ns, [*times_ns[1:], times_ns[-1] + 1], strict=True)):
        run.offer(_CAMERA, Frame(partial(_same, picture), index))
        yield from run.advance(now_ns, end_ns)


def _one_camera(ours: OurCodecs, codecs: Sequence[OurCodec], kbps: float, live: LiveSettings
                ) -> Rehearsal[int]:
    codec = codecs[0]
    scenes = live_scenes(ours, codec) if codec.describes else None
    changes: dict[str, float] = {} if codec.focus else {'focus': 0.0}
    if not codec.text:
        changes['max_objects'] = 0
    sender: Sender[int] = Sender(ours.encoders[codec.coder], {_CAMERA: 1.0},
                                 live.sender(kbps, **changes), scenes)
    receivers = {c.name: (Receiver[int](ours.decoder, [_CAMERA]), c.view) for c in codecs}
    return Rehearsal(sender, receivers, scenes, live.rtt_s, ours.clock)


def _same(picture: np.ndarray) -> np.ndarray:
    return picture
