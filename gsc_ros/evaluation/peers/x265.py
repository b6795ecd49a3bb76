"""x265 intra pictures as a peer: full headers, one Annex B access unit a picture."""
from __future__ import annotations

from dataclasses import replace

import av
from gsc_ros.evaluation.peers.access_units import h265_payload
from gsc_ros.evaluation.peers.still_codec import StillCodec
import numpy as np
from PIL import Image

MAX_QP = 51
MIN_SIDE = 32


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


X265 = StillCodec('x265', 'x265 intra', range(MAX_QP + 1), encode, decode, h265_payload,
                  side_multiple=2, min_side=MIN_SIDE)
X265_PAYLOAD = replace(X265, name='x265-payload', title='x265 intra, payload only',
                       counted='payload', by_default=False)
