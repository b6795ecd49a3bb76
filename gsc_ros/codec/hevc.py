"""
The standard coder: one H.265 intra picture of the shrunk source, headers stripped.

x265 (through PyAV) codes, ffmpeg decodes; docs/BITSTREAM.md, section 6, has the byte layout.
"""
from __future__ import annotations

from fractions import Fraction
from math import ceil, log2, sqrt
from typing import Final

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

# Downscale factors of one octave in 64ths, 2 ** (k / 16): step k of the next octave is twice step
# k of this one. The packet's quality counts the steps from factor 1 on.
_OCTAVE = (64, 67, 70, 73, 76, 79, 83, 87, 91, 95, 99, 103, 108, 112, 117, 123)
_STEPS_PER_OCTAVE = len(_OCTAVE)
MAX_QUALITY = 6 * _STEPS_PER_OCTAVE     # factor 64
_MIN_QP = 10                # below it bytes buy nothing that the eye sees
# Where the search starts; it corrects what is wrong. A typical picture is best shrunk by this
# factor at one bit per pixel, by the inverse root of the rate elsewhere; so many steps of the
# factor, or of the quantiser, halve the bytes.
_TYPICAL_FACTOR = 0.29
_STEPS_PER_HALVING = 10
_QP_PER_HALVING = 6
_FULL = 0.95                # share of the bytes from which no finer factor is tried
_NO_FINER = 0.93            # nor a finer quantiser
_UNIT = 8                   # coded sides are multiples of the smallest coding unit
_MIN_CODED = 16
_ENCODER: Final = 'libx265'
_PRESET = 'slow'
# CQP on one thread; everything that would add NAL units or vary the headers is off
_X265 = ('log-level=none:pools=none:frame-threads=1:wpp=0:annexb=1:info=0:keyint=1:bframes=0:'
         'rc-lookahead=0:vui-timing-info=1:ipratio=1:psy-rd=0:psy-rdoq=0:rect=0:amp=0:'
         'signhide=1:tskip=0:sao=1:deblock=0,0:strong-intra-smoothing=1:tu-intra-depth=1')


def coded_size(width: int, height: int, quality: int) -> tuple[int, int]:
    """
    Width and height of the coded picture, multiples of 8 from 16 on.

    :raises PacketError: if ``quality`` is above ``MAX_QUALITY``.
    """
    if not 0 <= quality <= MAX_QUALITY:
        raise PacketError('quality', quality, f'0..{MAX_QUALITY}')
    octave, step = divmod(quality, _STEPS_PER_OCTAVE)
    unit = _UNIT * _OCTAVE[step] << octave
    coded = [max(_MIN_CODED, _UNIT * ((_OCTAVE[0] * side + unit // 2) // unit))
             for side in (width, height)]
    return coded[0], coded[1]


def _sizing_qp(bpp: float) -> int:
    """
    Quantiser that a picture of so many bits per source pixel is shrunk for.

    With a finer one the shrinking costs more than it saves, with a coarser one blocks show: VGG
    distance and PSNR on training pictures, with the figures in docs/BITSTREAM.md, section 6.
    """
    return min(max(round(46 - 2 * log2(bpp / 0.02)), 40), 50)


class HevcCoder:
    """H.265 intra coding of the shrunk picture behind the ``PictureCoder`` interface."""

    coder_id = CoderId.HEVC
    fingerprint = 0x4801    # names the configuration of headers, filters and colours, not a model

    def encode(self, picture: np.ndarray, max_bytes: int) -> Coded:
        """
        Code ``picture`` (H, W, 3) uint8 RGB into at most ``max_bytes`` (see ``PictureCoder``).

        The finest downscale factor that fits with a coarse quantiser is taken; where that is the
        first or the last factor, the finest quantiser that fits with it.
        """
        _check_picture(picture)
        trials = _Trials(picture, max_bytes)
        qp = _sizing_qp(trials.bpp)
        quality = _finest_factor(trials, qp)
        qp = _finest_quantiser(trials, quality, qp)
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

    def __init__(self, picture: np.ndarray, max_bytes: int) -> None:
        self._picture = picture
        self.max_bytes = max_bytes
        self.height, self.width = picture.shape[:2]
        self.bpp = 8 * max(max_bytes, 1) / (self.width * self.height)
        self._planes: dict[tuple[int, int], Planes] = {}
        self._latents: dict[tuple[tuple[int, int], int], bytes] = {}

    def latent(self, quality: int, qp: int) -> bytes:
        size = coded_size(self.width, self.height, quality)
        if size not in self._planes:
            self._planes[size] = shrink(self._picture, *size)
        if (size, qp) not in self._latents:
            self._latents[size, qp] = encode_planes(self._planes[size], qp)
        return self._latents[size, qp]

    def fill(self, quality: int, qp: int) -> float:
        """Bytes as a share of what is allowed: it fits up to 1."""
        return len(self.latent(quality, qp)) / max(self.max_bytes, 0.5)


def _finest_factor(trials: _Trials, qp: int) -> int:
    """
    Quality of the finest picture that fits at ``qp``; the last one if none is found to.

    Each trial predicts where the next must be.
    """
    too_long, fits = -1, MAX_QUALITY
    quality = round(_STEPS_PER_OCTAVE * log2(_TYPICAL_FACTOR / sqrt(trials.bpp)))
    while too_long + 1 < fits:
        quality = min(max(quality, too_long + 1), fits - 1)
        fill = trials.fill(quality, qp)
        if fill > 1:
            too_long = quality
        else:
            fits = quality
            if fill > _FULL:
                break
        quality += ceil(_STEPS_PER_HALVING * log2(fill))
    return fits


def _finest_quantiser(trials: _Trials, quality: int, qp: int) -> int:
    """
    Lowest quantiser that fits, searched from ``qp`` on like the factor.

    :raises BudgetError: if none does.
    """
    too_long, fits = _MIN_QP - 1, MAX_QP + 1
    while too_long + 1 < fits:
        qp = min(max(qp, too_long + 1), fits - 1)
        fill = trials.fill(quality, qp)
        if fill > 1:
            too_long = qp
        else:
            fits = qp
            if fill > _NO_FINER:
                break
        qp += ceil(_QP_PER_HALVING * log2(fill))
    if fits > MAX_QP:
        raise BudgetError(trials.max_bytes, len(trials.latent(quality, MAX_QP)))
    return fits


def encode_planes(planes: Planes, qp: int) -> bytes:
    """
    Latent of 4:2:0 planes (sides in multiples of 8 from 16) at a quantiser of 0..51.

    :raises MissingDependencyError: if this PyAV has no x265, or one with other headers.
    """
    height, width = planes[0].shape
    try:
        context = av.CodecContext.create(_ENCODER, 'w')
    except ValueError as error:     # PyAV's UnknownCodecError
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
    flat = frames[0].to_ndarray().ravel()   # no format: ffmpeg must not convert
    area = width * height
    chroma = flat[area:].reshape(2, height // 2, width // 2)
    return flat[:area].reshape(height, width), chroma[0], chroma[1]
