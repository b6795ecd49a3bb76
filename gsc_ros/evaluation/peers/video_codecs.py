"""H.264, H.265 and AV1 in their low-delay inter settings, through PyAV."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import ctypes
from dataclasses import dataclass
from fractions import Fraction
import os
import threading
from typing import Any

import av
from gsc_ros.codec.errors import MissingDependencyError, PacketError
from gsc_ros.evaluation.peers import access_units
import numpy as np

MIN_SIDE = 32
# A receiver that tunes in, or lost something, sees again after this long.
REFRESH_SECONDS = 10
_TICKS = 90_000      # of the time base, per second


@dataclass(frozen=True)
class Setting:
    """
    How to code a clip.

    :param crf: constant rate factor, larger is coarser.
    :param cap_kbps: None: that factor everywhere; else the encoder's own rate control keeps this
        many kbit/s, with a buffer of one second.
    """

    crf: int
    fps: float
    cap_kbps: int | None = None

    @property
    def gop(self) -> int:
        """Pictures from one intra picture to the next."""
        return max(1, round(REFRESH_SECONDS * self.fps))


@dataclass(frozen=True)
class VideoCodec:
    """
    An encoder of the ffmpeg libraries and how a live sender would set it.

    :param name: on the command line and in rows.
    :param title: what tables call it.
    :param encoder: of ffmpeg, as ``decoder``.
    :param factors: of the constant rate factor, finest first.
    :param options: of the encoder, for a setting.
    :param clean: takes an access unit and leaves out what no receiver needs.
    :param payload: bytes of an access unit's slices alone.
    :param min_capped_side: smaller pictures have no rate control.
    :param by_default: whether ``gsc evaluate`` measures it where no codecs are named.
    """

    name: str
    title: str
    encoder: str
    decoder: str
    factors: range
    options: Callable[[Setting], dict[str, str]]
    clean: Callable[[bytes], bytes]
    payload: Callable[[bytes], int]
    min_capped_side: int = MIN_SIDE
    by_default: bool = True

    def encode(self, planes: Sequence[np.ndarray], setting: Setting) -> list[bytes]:
        """
        One access unit per picture.

        :param planes: uint8 (H * 3 / 2, W) each, 4:2:0 as ``av.VideoFrame`` lays it out; sides
            even and at least ``MIN_SIDE``.
        :raises MissingDependencyError: if this PyAV lacks the encoder.
        """
        context = self._context(planes[0].shape[1], planes[0].shape[0] * 2 // 3, setting)
        packets: list[av.Packet] = []
        with _scheduling_kept():
            for i, plane in enumerate(planes):
                frame = av.VideoFrame.from_ndarray(plane, 'yuv420p')
                frame.pts = round(i * _TICKS / setting.fps)
                packets += context.encode(frame)
            packets += context.encode(None)
        if len(packets) != len(planes):
            raise PacketError(f'{self.encoder} packets', len(packets), f'{len(planes)} pictures')
        return [self.clean(bytes(packet)) for packet in packets]

    def _context(self, width: int, height: int, setting: Setting) -> Any:
        os.environ.setdefault('SVT_LOG', '1')    # else SVT-AV1 prints its settings each time
        try:
            context: Any = av.CodecContext.create(self.encoder, 'w')
        except ValueError as error:     # PyAV's UnknownCodecError
            raise MissingDependencyError(f'PyAV with {self.encoder}',
                                         'pip install "av>=14"') from error
        context.width, context.height, context.pix_fmt = width, height, 'yuv420p'
        context.time_base = Fraction(1, _TICKS)
        context.framerate = Fraction(setting.fps).limit_denominator(1000)
        context.thread_count, context.gop_size, context.max_b_frames = 1, setting.gop, 0
        context.options = self.options(setting)
        return context

    def decode(self, units: Sequence[bytes]) -> list[np.ndarray]:
        """
        Pictures of the access units in order, uint8 (H, W, 3).

        :raises PacketError: if there is not one picture per unit.
        """
        context: Any = av.CodecContext.create(self.decoder, 'r')
        context.thread_count = 1
        frames = [frame for unit in units for frame in context.decode(av.Packet(unit))]
        frames += context.decode(None)
        if len(frames) != len(units):
            raise PacketError(f'{self.decoder} pictures', len(frames), f'{len(units)} units')
        return [frame.to_ndarray(format='rgb24') for frame in frames]


@contextmanager
def _scheduling_kept() -> Iterator[None]:
    """
    Undo what SVT-AV1 does to a superuser's thread: it makes it real-time, priority 99.

    Threads that are started later would inherit that and leave no processor to the others. The C
    library is asked, not the kernel: it keeps a copy, which threads of DDS are started with.
    """
    library, policy, priority = ctypes.CDLL(None), ctypes.c_int(), ctypes.c_int()
    if not hasattr(library, 'pthread_setschedparam'):
        yield
        return
    thread = ctypes.c_ulong(threading.get_ident())
    library.pthread_getschedparam(thread, ctypes.byref(policy), ctypes.byref(priority))
    try:
        yield
    finally:
        library.pthread_setschedparam(thread, policy, ctypes.byref(priority))


def _vbv(setting: Setting) -> str:
    cap = setting.cap_kbps
    return f':vbv-maxrate={cap}:vbv-bufsize={cap}:vbv-init=1' if cap else ''


def _x264(setting: Setting) -> dict[str, str]:
    return {'preset': 'veryslow', 'tune': 'zerolatency', 'x264-params':
            f'crf={setting.crf}:keyint={setting.gop}:log-level=none{_vbv(setting)}'}


def _x265(setting: Setting) -> dict[str, str]:
    return {'preset': 'slow', 'tune': 'zerolatency', 'x265-params':
            f'crf={setting.crf}:keyint={setting.gop}:info=0:log-level=none:pools=1:'
            f'frame-threads=1:ctu={MIN_SIDE}{_vbv(setting)}'}


def _svtav1(setting: Setting) -> dict[str, str]:
    rate = f'rc=2:tbr={setting.cap_kbps}:buf-sz=1000:buf-initial-sz=1000' if setting.cap_kbps \
        else f'crf={setting.crf}'
    return {'preset': '4', 'svtav1-params':
            f'{rate}:pred-struct=1:lookahead=0:scd=0:lp=1:keyint={setting.gop}'}


def _unchanged(data: bytes) -> bytes:
    return data


H264 = VideoCodec('h264', 'H.264', 'libx264', 'h264', range(12, 52), _x264,
                  access_units.without_notes, access_units.h264_payload)
H265 = VideoCodec('h265', 'H.265', 'libx265', 'hevc', range(12, 52), _x265, _unchanged,
                  access_units.h265_payload)
AV1 = VideoCodec('av1', 'AV1', 'libsvtav1', 'libdav1d', range(12, 64), _svtav1,
                 access_units.without_delimiters, access_units.av1_payload, min_capped_side=64)
