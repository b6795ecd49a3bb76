"""
The standard coder: one H.265 intra picture of the shrunk source, headers stripped.

x265 (through PyAV) codes, ffmpeg decodes; docs/BITSTREAM.md, section 6, has the byte layout.
"""
from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from math import ceil, log2, sqrt

import av
from gsc_ros.codec.bitstream import CoderId, MAX_SIDE, MIN_SIDE
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import (
    BudgetError,
    InvalidInputError,
    MissingDependencyError,
    PacketError,
)
from gsc_ros.codec.hevc_headers import ctu_log2, MAX_QP, rebuild, strip
from gsc_ros.codec.resample import enlarge, Planes, shrink
import numpy as np

# Downscale factors in quarters; the packet's quality is the index. Append-only.
FACTOR_QUARTERS = (4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
# The picture is shrunk just so far that it fits with this quantiser: below it blocks show, above
# it the shrinking costs more than it saves (VGG distance and PSNR on training pictures; the
# figures are in docs/BITSTREAM.md, section 6).
_SIZING_QP = 48
_MIN_QP = 10                # below it bytes buy nothing that the eye sees
# Starting points only; the search corrects them: a typical picture is best shrunk by
# this / sqrt(bits per pixel) quarters; the bytes go as 1 / factor and halve in six steps of QP
_TYPICAL_QUARTERS = 1.15
_QP_PER_OCTAVE = 6.0
_WORTH_A_TRY = 1.1          # a finer factor is tried if its predicted bytes / max_bytes is less
_UNIT = 8                   # coded sides are multiples of the smallest coding unit
_MIN_CODED = 16
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

        The finest downscale factor that fits with a coarse quantiser is taken, then the finest
        quantiser that fits.
        """
        _check_picture(picture)
        trials = _Trials(picture)
        quality = _finest_factor(trials, max_bytes)
        qp = _finest_quantiser(trials, quality, max_bytes)
        return Coded(quality, trials.latent(quality, qp))

    def decode(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """Return the plain picture, uint8 (height, width, 3) RGB (see ``PictureCoder``)."""
        size = coded_size(width, height, coded.quality)
        return enlarge(decode_planes(coded.data, *size), width, height)


def _check_picture(picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InvalidInputError('picture', f'{picture.dtype} {picture.shape}',
                                'uint8 (height, width, 3)')
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in picture.shape[:2]):
        raise InvalidInputError('picture', picture.shape, f'sides {MIN_SIDE}..{MAX_SIDE}')


class _Trials:
    """Latents of one picture at several factors and quantisers, each made once."""

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self.height, self.width = picture.shape[:2]
        self._planes: dict[int, Planes] = {}
        self._latents: dict[tuple[int, int], bytes] = {}

    def latent(self, quality: int, qp: int) -> bytes:
        if quality not in self._planes:
            size = coded_size(self.width, self.height, quality)
            self._planes[quality] = shrink(self._picture, *size)
        if (quality, qp) not in self._latents:
            self._latents[quality, qp] = encode_planes(self._planes[quality], qp)
        return self._latents[quality, qp]


def _finest_factor(trials: _Trials, max_bytes: int) -> int:
    """First quality that fits at ``_SIZING_QP``; the last one if none does."""
    bpp = 8 * max(max_bytes, 1) / (trials.width * trials.height)
    too_long, fits = -1, len(FACTOR_QUARTERS) - 1
    quality = bisect_left(FACTOR_QUARTERS, _TYPICAL_QUARTERS / sqrt(bpp))
    while too_long + 1 < fits:
        quality = min(max(quality, too_long + 1), fits - 1)
        length = len(trials.latent(quality, _SIZING_QP))
        wanted = FACTOR_QUARTERS[quality] * length / max(max_bytes, 1)
        if length > max_bytes:
            too_long = quality
        elif quality == 0 or wanted > _WORTH_A_TRY * FACTOR_QUARTERS[quality - 1]:
            return quality
        else:
            fits = quality
        quality = bisect_left(FACTOR_QUARTERS, wanted)
    return fits


def _finest_quantiser(trials: _Trials, quality: int, max_bytes: int) -> int:
    """
    Lowest QP that fits, in few trials: each one predicts where the next must be.

    :raises BudgetError: if none does.
    """
    too_long, fits = _MIN_QP - 1, MAX_QP + 1
    qp = _SIZING_QP
    while too_long + 1 < fits:
        length = len(trials.latent(quality, qp))
        if length > max_bytes:
            too_long = qp
        else:
            fits = qp
        if too_long == MAX_QP:
            raise BudgetError(max_bytes, length)
        qp += ceil(_QP_PER_OCTAVE * log2(length / max(max_bytes, 1)))
        qp = min(max(qp, too_long + 1), fits - 1)
    return fits


def encode_planes(planes: Planes, qp: int) -> bytes:
    """
    Latent of 4:2:0 planes (sides in multiples of 8 from 16) at a quantiser of 0..51.

    :raises MissingDependencyError: if this PyAV has no x265, or one with other headers.
    """
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


def decode_planes(latent: bytes, width: int, height: int) -> Planes:
    """
    4:2:0 planes of a latent, bit-exact on every machine.

    :raises PacketError: if they cannot be decoded.
    """
    stream = rebuild(latent, width, height)
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
