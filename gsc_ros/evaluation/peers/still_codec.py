"""What a codec of single pictures must offer to be compared with."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class StillCodec:
    """
    A codec of single pictures as three functions; a higher quality makes a larger file.

    ``encode`` takes an RGB picture and one of ``qualities``; ``decode`` gives uint8 (H, W, 3) RGB;
    ``payload`` counts the bytes of a file without container and parameter sets.

    :param name: on the command line and in rows.
    :param title: what tables call it.
    :param counted: 'file' holds the whole file under the ceiling, 'payload' only what is left
        without the container (kinder to the codec than a real link is).
    :param side_multiple: sides that it takes are multiples of this, and at least ``min_side``;
        scales that would go below are left out.
    :param by_default: whether ``gsc evaluate`` measures it where no codecs are named.
    """

    name: str
    title: str
    qualities: range
    encode: Callable[[Image.Image, int], bytes]
    decode: Callable[[bytes], np.ndarray]
    payload: Callable[[bytes], int]
    counted: str = 'file'
    side_multiple: int = 1
    min_side: int = 1
    by_default: bool = True

    def cost(self, data: bytes) -> int:
        """Bytes that count against the ceiling."""
        return len(data) if self.counted == 'file' else self.payload(data)
