"""The live path without nodes: a robot, its base station and the link between them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Generic, TYPE_CHECKING

from gsc_ros.codec.errors import GscError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.codec_names import OurCodec
from gsc_ros.evaluation.our_codecs import Clock, OurCodecs
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.session.robot import StreamFacts
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.simulation import Delivered, LinkSimulation
from gsc_ros.link.wire.datagrams import Request, RequestKind
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.receiver import Receiver, RefreshNeeded, Shown, View
from gsc_ros.scene.watcher import RefreshRule, Scenes
from gsc_ros.sender import Frame, Outgoing, Sender, SenderSettings, Tag, Turn
from gsc_ros.units import SECOND_NS
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture

_CAMERA = 'camera'
_LEAST_STEP_NS, _STEP_NS = 1_000_000, 20_000_000    # between two looks at budget and link
_LOST_NS = 60 * SECOND_NS    # after which a packet does not arrive any more
_SEED = 1   # of what the link loses

Key = tuple[int, int]
"""Stream and sequence number of a packet."""


@dataclass(frozen=True)
class LiveSettings:
    """
    How the robot is set, by the defaults of the encoder node, and what its link does.

    ``rtt_s`` is the round trip of the link beside the time that packets take to leave, ``loss``
    the share of its datagrams that are lost, with ``burst_s`` in bursts of that mean length.
    With ``computing_counts`` coding and decoding take the time that they take on this machine.
    """

    max_rate: float = ENCODER['max_rate'].default
    max_bytes: int = ENCODER['max_bytes'].default
    min_bytes: int = ENCODER['min_bytes'].default
    overhead_bytes: int = ENCODER['overhead_bytes'].default
    max_width: int = ENCODER['max_width'].default
    max_objects: int = ENCODER['max_objects'].default
    rtt_s: float = 0.1
    loss: float = 0.0
    burst_s: float = 0.0
    computing_counts: bool = False

    def sender(self, kbps: float, **changes: float) -> SenderSettings:
        """Return settings for a link of ``kbps``; ``changes`` are parameters, too."""
        own = {name: value for name, value in asdict(self).items()
               if name in ENCODER.defaults()}
        speed = {'bytes_per_second': int(kbps * 125)}
        return SenderSettings.from_parameters(ENCODER.defaults() | own | speed | changes)

    def link(self, kbps: float, cameras: Sequence[str]) -> LinkSimulation:
        """Return a link of ``kbps`` (1000 bit/s) that carries the cameras' streams."""
        common = {'adapt': False, 'mtu': LINK_ROBOT['mtu'].default, 'fec': 'off',
                  'overhead_bytes': self.overhead_bytes,
                  'report_period_ns': int(LINK_BASE['report_period'].default * SECOND_NS),
                  'stale_ns': int(LINK_ROBOT['stale'].default * SECOND_NS)}
        speed, back = int(kbps * 125), LINK_BASE['bytes_per_second'].default
        up = LineSettings(kbps, self.rtt_s / 2, loss=self.loss, burst_s=self.burst_s,
                          header_bytes=self.overhead_bytes)
        return LinkSimulation(
            LinkSettings(bytes_per_second=speed, floor=speed, **common),
            LinkSettings(bytes_per_second=back, floor=back, **common),
            up, replace(up, kbps=back / 125),
            {number: StreamFacts(camera, '', b'') for number, camera in enumerate(cameras)},
            _SEED, 0)


def live_scenes(ours: OurCodecs, codec: OurCodec) -> Scenes:
    """Scenes that are looked at as the encoder node does; without captions where none are sent."""
    def describe(picture: np.ndarray) -> tuple[str, list[SceneObject]]:
        scene = ours.describe(picture)
        return scene.caption if codec.text else '', list(scene.objects)

    return Scenes(describe, RefreshRule.from_parameters(ENCODER.defaults()))


@dataclass(frozen=True)
class Sent(Generic[Tag]):
    """A packet that left the robot, when, and how long its coding took."""

    outgoing: Outgoing[Tag]
    sent_ns: int
    encode_s: float


@dataclass(frozen=True)
class OnScreen(Generic[Tag]):
    """
    A picture that one base station shows from ``shown_ns`` on.

    ``decode_s`` is the time that it took; it is part of ``shown_ns`` where computing counts.
    """

    sent: Sent[Tag]
    shown_ns: int
    decoded: DecodedPicture
    decode_s: float


class Rehearsal(Generic[Tag]):
    """
    The encoder node, the link nodes and the decoder node on a clock that the caller moves.

    ``receivers`` are base stations that look at the same packets in different ways; ``sent`` and
    ``failed`` collect what has left and the pictures that could not be coded.
    """

    def __init__(self, sender: Sender[Tag], receivers: Mapping[str, tuple[Receiver[Key], View]],
                 scenes: Scenes | None, link: LinkSimulation, clock: Clock, *,
                 computing_counts: bool = False) -> None:
        """
        Join them; with ``computing_counts`` coding and decoding take the time that they take here.

        The streams of ``link`` are the sender's cameras in their order.
        """
        self.sent: list[Sent[Tag]] = []
        self.failed: list[tuple[Tag, GscError]] = []
        self._sender, self._receivers, self._scenes = sender, receivers, scenes
        self._link, self._clock, self._computing_counts = link, clock, computing_counts
        self._under_way: dict[Key, Sent[Tag]] = {}
        self._spoke_ns: int | None = None
        self._free_ns = 0   # when the robot has coded the picture in hand

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras."""
        return self._sender.cameras

    @property
    def wire_bytes(self) -> int:
        """All that the robot has put on the link, headers included."""
        return self._link.robot.counters['sent_bytes']

    def offer(self, camera: str, frame: Frame[Tag], now_ns: int) -> None:
        """Have a picture sent that was taken now, instead of an older one that still waits."""
        self._sender.offer(camera, frame, now_ns)

    def advance(self, now_ns: int, end_ns: int) -> Iterator[tuple[str, OnScreen[Tag]]]:
        """Let time pass from ``now_ns`` to ``end_ns``; what each receiver shows meanwhile."""
        while now_ns < end_ns:
            yield from self._hear(now_ns)
            turn = self._sender.next_turn(now_ns) if now_ns >= self._free_ns else None
            if turn is not None:
                self._send(turn, now_ns)
                continue
            next_ns = self._sender.next_ns
            wanted_ns = end_ns if next_ns is None else max(next_ns, self._free_ns)
            now_ns = min(max(wanted_ns, now_ns + _LEAST_STEP_NS), now_ns + _STEP_NS, end_ns)
        yield from self._hear(now_ns)

    def _hear(self, now_ns: int) -> Iterator[tuple[str, OnScreen[Tag]]]:
        """Take what has come out of the link at either end."""
        happened = self._link.advance(now_ns)
        for told in happened.feedback:
            self._sender.tell(self.cameras[told.stream_id], told.feedback, told.told_ns)
        if self._spoke_ns is None or now_ns - self._spoke_ns >= SECOND_NS:
            self._spoke_ns = now_ns     # as the robot's link node does
            for number, camera in enumerate(self.cameras):
                self._sender.tell(camera, self._link.tell(number), now_ns)
        for delivered in happened.pictures:
            yield from self._show(delivered)

    def _send(self, turn: Turn[Tag], now_ns: int) -> None:
        began = self._clock()
        try:
            outgoing = self._sender.encode(turn, now_ns)
        except GscError as error:
            self.failed.append((turn.frame.tag, error))
            return
        encode_s = self._clock() - began
        if self._computing_counts:
            now_ns = self._free_ns = now_ns + round(encode_s * SECOND_NS)
        self._sender.sent(outgoing, now_ns)
        while self._scenes is not None and self._scenes.look():
            pass    # the node's detector takes its time: what it sees goes with the next picture
        number, sequence = self.cameras.index(outgoing.camera), outgoing.packet.sequence
        self.sent.append(Sent(outgoing, now_ns, encode_s))
        self._under_way[number, sequence] = self.sent[-1]
        while now_ns - next(iter(self._under_way.values())).sent_ns > _LOST_NS:
            del self._under_way[next(iter(self._under_way))]
        self._link.offer(number, sequence, now_ns, outgoing.data, now_ns)

    def _show(self, delivered: Delivered) -> Iterator[tuple[str, OnScreen[Tag]]]:
        key = delivered.picture.stream_id, delivered.picture.sequence
        sent = self._under_way.pop(key)
        camera = sent.outgoing.camera
        for name, (receiver, view) in self._receivers.items():
            began = self._clock()
            receiver.take(camera, delivered.picture.packet, sent.sent_ns, key)
            for event in receiver.show(camera, view, delivered.arrived_ns):
                if isinstance(event, Shown):
                    decode_s = self._clock() - began
                    late_ns = round(decode_s * SECOND_NS) if self._computing_counts else 0
                    yield name, OnScreen(sent, delivered.arrived_ns + late_ns, event.decoded,
                                         decode_s)
                elif isinstance(event, RefreshNeeded):
                    self._link.base.request(Request(key[0], RequestKind.REFRESH, ()),
                                            delivered.arrived_ns)
                else:
                    raise event.error   # our own decoder must read our own packets


@dataclass(frozen=True)
class ClipRun:
    """
    One camera's clip over a link: tags are places in the clip.

    ``screens`` has, by codec, the pictures that are shown, in order of time.
    """

    sent: list[Sent[int]]
    screens: dict[str, list[OnScreen[int]]]
    wire_bytes: int
    """All that the robot has put on the link, headers included."""


def rehearse_clip(ours: OurCodecs, codecs: Sequence[OurCodec], frames: Sequence[np.ndarray],
                  times_ns: Sequence[int], kbps: float, live: LiveSettings) -> ClipRun:
    """
    Send the pictures of one camera as the encoder node would.

    :param codecs: names that differ in decoding only.
    :param frames: uint8 (H, W, 3), taken at ``times_ns``.
    """
    run = _one_camera(ours, codecs, kbps, live)
    screens: dict[str, list[OnScreen[int]]] = {codec.name: [] for codec in codecs}
    for index, (picture, now_ns, end_ns) in enumerate(zip(
            frames, times_ns, [*times_ns[1:], times_ns[-1] + 1], strict=True)):
        run.offer(_CAMERA, Frame(partial(_same, picture), index), now_ns)
        for name, shown in run.advance(now_ns, end_ns):
            screens[name].append(shown)
    return ClipRun(run.sent, screens, run.wire_bytes)


def _one_camera(ours: OurCodecs, codecs: Sequence[OurCodec], kbps: float, live: LiveSettings
                ) -> Rehearsal[int]:
    codec = codecs[0]
    scenes = live_scenes(ours, codec) if codec.describes else None
    changes: dict[str, float] = {} if codec.focus else {'focus': 0.0}
    if not codec.text:
        changes['max_objects'] = 0
    sender: Sender[int] = Sender(ours.encoders[codec.coder], {_CAMERA: 1.0},
                                 live.sender(kbps, **changes), scenes)
    receivers = {c.name: (Receiver[Key](ours.decoder, [_CAMERA]), c.view) for c in codecs}
    return Rehearsal(sender, receivers, scenes, live.link(kbps, [_CAMERA]), ours.clock,
                     computing_counts=live.computing_counts)


def _same(picture: np.ndarray) -> np.ndarray:
    return picture
