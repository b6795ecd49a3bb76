"""
Temporal coding state: the pictures that a later packet of the same stream may be coded from.

The sender codes from the newest picture that it has sent while the link is good, and from one that
the base station has acknowledged as soon as a loss is reported (reference picture selection: ITU-T
H.263, annex N; NEWPRED, Fukunaga et al., 1996; Wiegand, Faerber and Girod, 2000). Both ends keep
the same few pictures; docs/BITSTREAM.md, section 8.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
import zlib

from gsc_ros.codec.bitstream import MAX_SHORT_DISTANCE, Packet, VERSION
from gsc_ros.codec.errors import PacketError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.resample import Planes
from gsc_ros.codec.sequence import distance, SEQUENCES

# Bounds that both ends know: at most so many pictures, none of more samples, so 64 MiB a stream.
MAX_PICTURES = MAX_SHORT_DISTANCE
MAX_SAMPLES = 1 << 21
MAX_UNDER_WAY = 16  # pictures of a chain that are not acknowledged
LOSS_PICTURES = 16  # about so many count for the share that is lost
QP_PER_HALVING = 6  # quantiser steps that halve the bytes of a picture on its own


class MissingReferenceError(PacketError):
    """A packet needs a picture that this decoder does not hold; ask the robot for a refresh."""

    def __init__(self, sequence: int, found: str) -> None:
        self.sequence = sequence
        super().__init__('reference', f'picture {sequence}, {found}',
                         'the one that the packet was made from')


@dataclass(frozen=True, eq=False)
class Reference:
    """
    What both ends know of a picture, the same to the last bit.

    ``width`` and ``height`` are the source's; ``planes`` have the coded size of ``quality``.
    ``caption_bytes`` and ``object_bytes`` are its packet's. ``root_qp`` and ``root_bpp``,
    quantiser and bits per source pixel, are those of the picture that stood alone at the
    beginning of the chain; ``qp`` is this picture's own, ``seed`` its noise's.
    """

    width: int
    height: int
    quality: int
    planes: Planes
    caption_bytes: bytes
    object_bytes: bytes
    qp: int
    root_qp: int
    root_bpp: float
    seed: int = 0

    @cached_property
    def check(self) -> int:
        """Two bytes of checksum over planes and text; format 1 carries the lower one only."""
        text = self.caption_bytes + self.object_bytes
        parts = [*(plane.tobytes() for plane in self.planes), text]
        return zlib.crc32(b''.join(parts)) & 0xFFFF

    def checked(self, version: int) -> bytes:
        """Return what the latent of a packet of this format that refers to it begins with."""
        return self.check.to_bytes(2, 'little')[:version]

    @property
    def bpp(self) -> float:
        """Bits per source pixel that a picture as sharp would take on its own, about."""
        return self.root_bpp * 2 ** ((self.root_qp - self.qp) / QP_PER_HALVING)

    @property
    def storable(self) -> bool:
        """Whether the picture is small enough to be kept."""
        return sum(plane.size for plane in self.planes) <= MAX_SAMPLES


@dataclass(eq=False)
class SentPicture:
    """
    A picture that was sent, and the text that was asked for (less may have fitted).

    ``parent`` is the picture that it was coded from, until that is known to be held. It is lost
    if the base station has acknowledged a later one and not this.
    """

    sequence: int
    reference: Reference
    caption: str
    objects: tuple[SceneObject, ...]
    parent: SentPicture | None = None
    arrived: bool = False
    lost: bool = False

    def tells(self, caption: str, objects: Sequence[SceneObject]) -> bool:
        """Whether the text that was asked for then is the one that is asked for now."""
        return caption == self.caption and tuple(objects) == self.objects

    @property
    def held(self) -> bool:
        """Whether the base station is known to have it, and could decode it."""
        if self.parent is not None and self.parent.held:
            self.parent = None
        return self.arrived and self.parent is None

    def under_way(self) -> int | None:
        """
        Count it and those that it depends on which are not acknowledged yet.

        None if one of them is lost.
        """
        count, picture = 0, self
        while True:
            count += not picture.arrived
            if picture.lost:
                return None
            if picture.parent is None:
                return count
            picture = picture.parent


@dataclass(frozen=True)
class Candidate:
    """A picture to code from, and the chance, 0..1, that the base station can decode it."""

    picture: SentPicture
    chance: float


class SenderReferences:
    """
    One camera's pictures that were sent, and which of them the base station has acknowledged.

    ``loss`` is the share of pictures that got lost lately, 0..1.
    """

    def __init__(self) -> None:
        self.loss = 0.0
        self._pictures: OrderedDict[int, SentPicture] = OrderedDict()

    def acknowledge(self, *sequences: int) -> None:
        """Note that pictures have arrived at the base station; unknown ones are ignored."""
        arrived = [self._pictures[s] for s in sequences if s in self._pictures]
        for picture in arrived:
            if not picture.arrived:
                self._note_loss(0.0)
            picture.arrived, picture.lost = True, False
        order = list(self._pictures.values())
        newest = max(map(order.index, arrived), default=0)
        for picture in order[:newest]:
            if not picture.arrived and not picture.lost:
                picture.lost = True
                self._note_loss(1.0)

    def _note_loss(self, lost: float) -> None:
        self.loss += (lost - self.loss) / LOSS_PICTURES

    def refresh(self) -> None:
        """Forget all: the next packet stands alone."""
        self._pictures.clear()

    def held(self, sequence: int, width: int, height: int) -> SentPicture | None:
        """Return the newest picture of this source size that the base station surely has."""
        return next((p for p in self._in_reach(sequence, width, height) if p.held), None)

    def candidates(self, sequence: int, width: int, height: int) -> list[Candidate]:
        """
        Return what picture ``sequence`` of this source size may be coded from, the newest first.

        The newest sent that is not known to be lost, and the newest that is surely held; nothing
        before the base station has acknowledged one.
        """
        held = self.held(sequence, width, height)
        if held is None:
            return []
        for picture in self._in_reach(sequence, width, height):
            count = picture.under_way()
            if count is not None and count > MAX_UNDER_WAY:
                break   # nobody seems to be there
            if count is not None:
                newest = Candidate(picture, (1 - self.loss) ** count)
                return [newest] if picture is held else [newest, Candidate(held, 1.0)]
        return [Candidate(held, 1.0)]

    def _in_reach(self, sequence: int, width: int, height: int) -> Iterator[SentPicture]:
        """Pictures of this source size that a packet may name, the newest first."""
        for picture in reversed(self._pictures.values()):
            size = picture.reference.width, picture.reference.height
            if size == (width, height) and (
                    1 <= distance(sequence, picture.sequence) <= MAX_PICTURES):
                yield picture

    def sent(self, picture: SentPicture) -> None:
        """Keep a picture that leaves now."""
        self._pictures.pop(picture.sequence, None)
        if picture.reference.storable:
            self._pictures[picture.sequence] = picture
        while len(self._pictures) > MAX_PICTURES:
            _, oldest = self._pictures.popitem(last=False)
            oldest.lost = not oldest.arrived    # of which nothing will be heard any more


class ReceiverReferences:
    """The last pictures of one stream, whether somebody looked at them or not."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[int, Reference] = OrderedDict()

    def find(self, packet: Packet) -> Reference:
        """
        Return the picture that a predicted packet was made from.

        :raises MissingReferenceError: if it never came, is gone, or is another one.
        :raises PacketError: if the packet names none or lacks its check.
        """
        if packet.reference is None:
            raise PacketError('reference', 'absent', '1..255')
        if len(packet.latent) < packet.version:
            raise PacketError('latent length', len(packet.latent), f'at least {packet.version}')
        number = (packet.sequence - packet.reference) % SEQUENCES
        reference = self._pictures.get(number)
        if reference is None:
            raise MissingReferenceError(number, 'which is not here')
        named = packet.width, packet.height, packet.quality
        known = reference.width, reference.height, reference.quality
        if packet.version == VERSION and named != known or (
                packet.latent[:packet.version] != reference.checked(packet.version)):
            raise MissingReferenceError(number, 'of which there is another one here')
        return reference

    def keep(self, sequence: int, reference: Reference) -> None:
        """Keep a decoded picture; the one kept first goes when there are too many."""
        self._pictures.pop(sequence, None)
        if reference.storable:
            self._pictures[sequence] = reference
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)
