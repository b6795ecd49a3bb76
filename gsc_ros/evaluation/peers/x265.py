"""x265 intra pictures as a peer: full headers, one Annex B access unit a picture."""
from __future__ import annotations

import av
import numpy as np
from PIL import Image

MAX_QP = 51
MIN_SIDE = 32
# H.265 table 7-1: slice segments are types 0..31, parameter sets and SEI lie above.
_FIRST_NON_SLICE = 32


def encode(picture: Image.Image, quality: int) -> bytes:
    """
    One intra picture with VPS, SPS and PPS; sides must be even.

    :param quality: 0..51, the quantiser is 51 minus that.
    """
    context = av.CodecContext.create('libx265', 'w')
    context.width, context.height = picture.size
    context.pix_fmt = 'yuv420p'
    context.options = {'preset': 'slow', 'tune': 'ssim', 'x265-params':
                       f'qp={MAX_QP - quality}:keyint=1:info=0:log-level=none:pools=1:'
                       'frame-threads=1:ctu=32'}
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format='rgb24')
    packets = context.encode(frame.reformat(format='yuv420p')) + context.encode(None)
    return b''.join(bytes(packet) for packet in packets)


def decode(data: bytes) -> np.ndarray:
    """Decode an access unit that ``encode`` made to uint8 (H, W, 3)."""
    context = av.CodecContext.create('hevc', 'r')
    frames = context.decode(av.Packet(data)) + context.decode(None)
    return frames[0].to_ndarray(format='rgb24')


def payload(data: bytes) -> int:
    """Bytes of the slices alone: what a receiver that has the headers needs."""
    size = 0
    for unit in data.replace(b'\0\0\0\1', b'\0\0\1').split(b'\0\0\1')[1:]:
        if unit[0] >> 1 & 0x3F < _FIRST_NON_SLICE:
            size += len(unit)
    return size
