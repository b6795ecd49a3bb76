"""What every coder of the picture's latent offers to the encoder and the decoder."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.regions import Focus, NOWHERE
import numpy as np


@dataclass(frozen=True)
class Coded:
    """
    A coded picture: ``quality`` (0..255) goes into the header's field, ``data`` is the latent.

    What ``quality`` means belongs to the coder.
    """

    quality: int
    data: bytes


class PictureCoder(Protocol):
    """A coder of pictures (height, width, 3) uint8 RGB, sides 16..4096."""

    coder_id: CoderId
    fingerprint: int
    """16 bits that name the model both ends must share."""

    def encode(self, picture: np.ndarray, max_bytes: int, focus: Focus = NOWHERE) -> Coded:
        """
        Code ``picture`` as well as ``max_bytes`` allow; ``len(data) <= max_bytes`` always.

        :param focus: where the bytes matter most; a coder may not know how.
        :raises InvalidInputError: if the picture is not of the form above.
        :raises BudgetError: if not even the coarsest setting fits.
        """
        ...

    def decode(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """
        Return the plain picture, uint8 (height, width, 3) RGB, nothing generated.

        :raises PacketError: if the latent cannot be decoded.
        """
        ...
