"""
Temporal coding state: the pictures that a later packet of the same stream may be coded from.

The sender only refers to a picture that the base station has acknowledged, so a lost packet never
spoils another (reference picture selection with positive acknowledgement: Fukunaga et al., 1996;
ITU-T H.263, annex N). Both ends keep the same few pictures; docs/BITSTREAM.md, section 8.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
import zlib

from gsc_ros.codec.bitstream import Packet
from gsc_ros.codec.errors import PacketError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.resample import Planes
from gsc_ros.codec.sequence import distance, SEQUENCES

# Bounds that both ends know: at most so many pictures, none of more samples, so 64 MiB a stream.
MAX_PICTURES = 32
MAX_SAMPLES = 1 << 21
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
    beginning of the chain; ``qp`` is this picture's own.
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

    @cached_property
    def check(self) -> int:
        """One byte of checksum over planes and text: 255 of 256 wrong references are noticed."""
        text = self.caption_bytes + self.object_bytes
        parts = [*(plane.tobytes() for plane in self.planes), text]
        return zlib.crc32(b''.join(parts)) & 0xFF

    @property
    def bpp(self) -> float:
        """Bits per source pixel that a picture as sharp would take on its own, about."""
        return self.root_bpp * 2 ** ((self.root_qp - self.qp) / QP_PER_HALVING)

    @property
    def storable(self) -> bool:
        """Whether the picture is small enough to be kept."""
        return sum(plane.size for plane in self.planes) <= MAX_SAMPLES


@dataclass(frozen=True, eq=False)
class SentPicture:
    """A picture under way, and the text that was asked for (less may have fitted)."""

    sequence: int
    reference: Reference
    caption: str
    objects: tuple[SceneObject, ...]

    def tells(self, caption: str, objects: Sequence[SceneObject]) -> bool:
        """Whether the text that was asked for then is the one that is asked for now."""
        return caption == self.caption and tuple(objects) == self.objects


class SenderReferences:
    """One camera's pictures that were sent, and the newest that the base station holds."""

    def __init__(self) -> None:
        self._under_way: OrderedDict[int, SentPicture] = OrderedDict()
        self._held: SentPicture | None = None

    def acknowledge(self, sequence: int) -> None:
        """Note that the base station holds a picture; unknown or old ones are ignored."""
        if sequence not in self._under_way:
            return
        # Only the newest serves: what was sent before it will not be referred to any more.
        while True:
            number, sent = self._under_way.popitem(last=False)
            if number == sequence:
                self._held = sent
                return

    def refresh(self) -> None:
        """Forget all: the next packet stands alone."""
        self._under_way.clear()
        self._held = None

    def usable(self, sequence: int, width: int, height: int) -> SentPicture | None:
        """Return the picture to code picture ``sequence`` of this source size from, if any."""
        held = self._held
        if held is None or not 1 <= distance(sequence, held.sequence) <= MAX_PICTURES:
            return None
        size = held.reference.width, held.reference.height
        return held if size == (width, height) else None

    def sent(self, picture: SentPicture) -> None:
        """Keep a picture until it is acknowledged."""
        self._under_way.pop(picture.sequence, None)
        if picture.reference.storable:
            self._under_way[picture.sequence] = picture
        while len(self._under_way) > MAX_PICTURES:
            self._under_way.popitem(last=False)


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
        if not packet.latent:
            raise PacketError('latent length', 0, 'at least 1')
        number = (packet.sequence - packet.reference) % SEQUENCES
        reference = self._pictures.get(number)
        if reference is None:
            raise MissingReferenceError(number, 'which is not here')
        made_from = packet.width, packet.height, packet.quality, packet.latent[0]
        if made_from != (reference.width, reference.height, reference.quality, reference.check):
            raise MissingReferenceError(number, 'of which there is another one here')
        return reference

    def keep(self, sequence: int, reference: Reference) -> None:
        """Keep a decoded picture; the one kept first goes when there are too many."""
        self._pictures.pop(sequence, None)
        if reference.storable:
            self._pictures[sequence] = reference
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)
