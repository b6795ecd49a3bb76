"""
The standard coder: one H.265 intra picture of the shrunk source, headers stripped.

x265 (through PyAV) codes, ffmpeg decodes; docs/BITSTREAM.md, section 6, has the byte layout.
"""
from __future__ import annotations

from fractions import Fraction
from math import ceil, log2

import av
import numpy as np

from gsc_ros.codec.bitstream import MAX_SIDE, MIN_SIDE, CoderId
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import BudgetError, InvalidInputError, MissingDependencyError, PacketError
from gsc_ros.codec.hevc_headers import MAX_QP, ctu_log2, rebuild, strip
from gsc_ros.codec.resample import Planes, enlarge, shrink

# Downscale factors in quarters; the packet's quality is the index. Append-only.
FACTOR_QUARTERS = (4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
# The factor that looks best (VGG distance on training pictures) from this many bits per source
# pixel on; see docs/BITSTREAM.md for the command and the figures.
_FINEST_FROM_BPP = ((0.25, 4), (0.06, 6), (0.03, 8), (0.02, 12), (0.01, 16), (0.005, 20),
                    (0.003, 24), (0.0, 32))
_MIN_QP = 10                # below it bytes buy nothing that the eye sees
_UNIT = 8                   # coded sides are multiples of the smallest coding unit
_MIN_CODED = 16
_QP_PER_OCTAVE = 6.0        # so many steps of the quantiser halve the bytes, nearly
_PRESET = 'slow'
# CQP on one thread; everything that would add NAL units or vary the headers is off
_X265 = ('log-level=none:pools=none:frame-threads=1:wpp=0:annexb=1:info=0:keyint=1:bframes=0:'
         'rc-lookahead=0:vui-timing-info=1:ipratio=1:psy-rd=0:psy-rdoq=0:rect=0:amp=0:'
         'signhide=1:tskip=0:sao=1:deblock=0,0:strong-intra-smoothing=1:tu-intra-depth=1')


def coded_size(width: int, height: int, quality: int) -> tuple[int, int]:
    """
    Width and height of the coded picture, multiples of 8 from 16 on.

    :raises PacketError: if ``quality`` is no index into ``FACTOR_QUARTERS``.
    """
    if not 0 <= quality < len(FACTOR_QUARTERS):
        raise PacketError('quality', quality, f'0..{len(FACTOR_QUARTERS) - 1}')
    step = _UNIT * FACTOR_QUARTERS[quality]
    coded = [max(_MIN_CODED, _UNIT * ((4 * side + step // 2) // step))
             for side in (width, height)]
    return coded[0], coded[1]


class HevcCoder:
    """H.265 intra coding of the shrunk picture behind the ``PictureCoder`` interface."""

    coder_id = CoderId.HEVC
    fingerprint = 0x4801    # names the configuration of headers, filters and colours, not a model

    def encode(self, picture: np.ndarray, max_bytes: int) -> Coded:
        """
        Code ``picture`` (H, W, 3) uint8 RGB into at most ``max_bytes`` (see ``PictureCoder``).

        The downscale factor follows from the bits per pixel; the quantiser is the finest that
        fits; where none does, coarser factors are tried.
        """
        _check_picture(picture)
        height, width = picture.shape[:2]
        smallest = 0
        for quality in range(_first_quality(8 * max_bytes / (width * height)),
                             len(FACTOR_QUARTERS)):
            planes = shrink(picture, *coded_size(width, height, quality))
            search = _QuantiserSearch(planes, max_bytes)
            if search.best is not None:
                return Coded(quality, search.best)
            smallest = search.smallest
        raise BudgetError(max_bytes, smallest)

    def decode(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """Return the plain picture, uint8 (height, width, 3) RGB (see ``PictureCoder``)."""
        size = coded_size(width, height, coded.quality)
        return enlarge(_decode_planes(rebuild(coded.data, *size), *size), width, height)


def _check_picture(picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InvalidInputError('picture', f'{picture.dtype} {picture.shape}',
                                'uint8 (height, width, 3)')
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in picture.shape[:2]):
        raise InvalidInputError('picture', picture.shape, f'sides {MIN_SIDE}..{MAX_SIDE}')


def _first_quality(bpp: float) -> int:
    quarters = next((q for limit, q in _FINEST_FROM_BPP if bpp >= limit), FACTOR_QUARTERS[-1])
    return FACTOR_QUARTERS.index(quarters)


class _QuantiserSearch:
    """
    Finds the finest quantiser whose latent fits, in as few runs of x265 as it can.

    Bytes halve about every six steps, so each run predicts where the next must be; the search
    ends when two neighbours, one too long and one that fits, are known.
    """

    best: bytes | None = None
    smallest = 0

    def __init__(self, planes: Planes, max_bytes: int) -> None:
        too_fine, fits = _MIN_QP - 1, MAX_QP + 1
        qp = _guess(planes, max_bytes)
        while too_fine + 1 < fits:
            qp = min(max(qp, too_fine + 1), fits - 1)
            latent = _encode_planes(planes, qp)
            if len(latent) <= max_bytes:
                fits, self.best = qp, latent
            else:
                too_fine, self.smallest = qp, len(latent)
            octaves = log2(len(latent) / max(max_bytes, 1))
            qp += ceil(_QP_PER_OCTAVE * octaves) or -1


def _guess(planes: Planes, max_bytes: int) -> int:
    luma = planes[0].astype(np.int16)
    detail = (np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()) / 2
    bits = 8 * max(max_bytes, 1) / luma.size
    return round(_GUESS[0] + _GUESS[1] * log2(bits) + _GUESS[2] * log2(detail + 0.1))


_GUESS = (27.0, -6.0, 5.0)


def _encode_planes(planes: Planes, qp: int) -> bytes:
    height, width = planes[0].shape
    try:
        context = av.CodecContext.create('libx265', 'w')
    except av.error.FFmpegError as error:
        raise MissingDependencyError('PyAV with libx265', 'pip install "av>=14"') from error
    context.width, context.height, context.pix_fmt = width, height, 'yuv420p'
    context.time_base, context.thread_count = Fraction(1), 1
    context.color_range = 2   # full
    context.options = {'preset': _PRESET, 'x265-params':
                       f'{_X265}:ctu={1 << ctu_log2(width, height)}:qp={qp}'}
    flat = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
    frame = av.VideoFrame.from_ndarray(flat, 'yuv420p')
    packets = context.encode(frame) + context.encode(None)
    return strip(b''.join(bytes(packet) for packet in packets), width, height, qp)


def _decode_planes(stream: bytes, width: int, height: int) -> Planes:
    context = av.CodecContext.create('hevc', 'r')
    context.thread_count = 1
    try:
        frames = context.decode(av.Packet(stream)) + context.decode(None)
    except av.error.FFmpegError as error:
        raise PacketError('latent', f'undecodable ({error.strerror})', 'an H.265 slice') from error
    if len(frames) != 1 or (frames[0].width, frames[0].height) != (width, height):
        raise PacketError('latent', f'{len(frames)} pictures', f'one of {width}x{height}')
    flat = frames[0].to_ndarray(format='yuv420p').ravel()
    area = width * height
    chroma = flat[area:].reshape(2, height // 2, width // 2)
    return flat[:area].reshape(height, width), chroma[0], chroma[1]
