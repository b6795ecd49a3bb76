"""What every coder of pictures offers to the encoder and the decoder."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from gsc_ros.codec.bitstream import (
    CoderId,
    HEADER_BYTES,
    LENGTHS_BYTES,
    MAX_SIDE,
    MIN_SIDE,
    Packet,
)
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import ReceiverReferences, SenderReferences
from gsc_ros.codec.regions import Focus
import numpy as np


@dataclass(frozen=True)
class Coded:
    """
    A coded picture: ``quality`` (0..255) goes into the header's field, ``data`` is the latent.

    What ``quality`` means belongs to the coder.
    """

    quality: int
    data: bytes


@dataclass(frozen=True)
class Draft:
    """
    A packet whose picture is not coded yet.

    ``caption_bytes`` and ``object_bytes`` go into the packet; ``caption`` and ``objects`` are what
    they were cut from.
    """

    width: int
    height: int
    seed: int
    sequence: int
    caption_bytes: bytes
    object_bytes: bytes
    caption: str
    objects: tuple[SceneObject, ...]

    @property
    def size(self) -> int:
        """Bytes of the packet without its latent."""
        return HEADER_BYTES + len(self.caption_bytes) + len(self.object_bytes)

    @property
    def text_size(self) -> int:
        """Bytes of the text in a packet of format 2, its lengths included."""
        return LENGTHS_BYTES + len(self.caption_bytes) + len(self.object_bytes)

    def complete(self, coder: CoderId, fingerprint: int, coded: Coded) -> Packet:
        """Return the packet of a picture that stands alone."""
        return Packet(coder, self.width, self.height, fingerprint, coded.quality, self.seed,
                      self.sequence, None, self.caption_bytes, self.object_bytes, coded.data)


@dataclass(frozen=True, eq=False)
class PlainPicture:
    """
    What a packet says without generation.

    ``packet`` is complete: where it was short, with what it takes from its reference. ``bpp`` is
    what a picture as sharp takes on its own, about, in bits per source pixel; ``downscale`` by how
    many sixteenths of an octave the coded picture is smaller than the source. ``evidence`` is what
    was transmitted of the picture, for ``gsc_ros.prior.consistency.constraint``. ``render`` makes
    the picture when it is wanted.
    """

    packet: Packet
    caption_bytes: bytes
    object_bytes: bytes
    bpp: float
    downscale: int
    evidence: object
    render: Callable[[], np.ndarray]

    @cached_property
    def picture(self) -> np.ndarray:
        """Picture uint8 (height, width, 3) RGB of the source's size."""
        return self.render()


class PictureCoder(Protocol):
    """A coder of pictures (height, width, 3) uint8 RGB, sides 16..4096."""

    coder_id: CoderId

    def encode_packet(self, picture: np.ndarray, draft: Draft, max_bytes: int, focus: Focus,
                      references: SenderReferences | None) -> Packet:
        """
        Complete a packet with the picture, as well as ``max_bytes`` for all of it allow.

        :param focus: where the bytes matter most; a coder may not know how.
        :param references: what the base station holds of the camera, for coders that predict;
            they note the packet there.
        :raises BudgetError: if not even the coarsest setting fits; names the smallest packet.
        """
        ...

    def decode_packet(self, packet: Packet, references: ReceiverReferences | None
                      ) -> PlainPicture:
        """
        Read a packet of this coder, and note it in ``references`` for those that refer to it.

        :raises ModelMismatchError: if it was made with other weights or settings.
        :raises MissingReferenceError: if the picture that it was made from is not there.
        :raises PacketError: if the latent cannot be decoded, at the latest when it is rendered.
        """
        ...


def check_picture(picture: np.ndarray) -> None:
    """
    Refuse what cannot be coded.

    :raises InvalidInputError: unless the picture is uint8 (H, W, 3), sides 16..4096.
    """
    shape: Sequence[int] | None = getattr(picture, 'shape', None)
    if getattr(picture, 'dtype', None) != np.uint8 or shape is None or len(shape) != 3 \
            or shape[2] != 3:
        raise InvalidInputError('picture', f'{getattr(picture, "dtype", None)} {shape}',
                                'uint8 (height, width, 3)')
    if not (MIN_SIDE <= min(shape[:2]) and max(shape[:2]) <= MAX_SIDE):
        raise InvalidInputError('picture size', f'{shape[1]}x{shape[0]}',
                                f'sides of {MIN_SIDE}..{MAX_SIDE}')
