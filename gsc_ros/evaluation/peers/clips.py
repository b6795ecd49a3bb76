"""
Code a clip with a standard video codec, set as a live sender on this link would set it.

Low-delay settings, the best of a small grid of scales and picture rates, under the link's ceiling.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
import time

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.peers.registry import VIDEOS
from gsc_ros.evaluation.peers.stills import Distance
from gsc_ros.evaluation.peers.video_codecs import MIN_SIDE
from gsc_ros.evaluation.peers.video_search import Link, MAX_DELAY_S, OVERHEAD_BYTES, Search, Trial
import numpy as np


@dataclass(frozen=True)
class ClipDetail:
    """What was chosen; ``exceeded`` is 0 where the link's ceiling is kept."""

    codec: str
    scale: int            # the pictures were shrunk by this factor
    divisor: int          # one of so many pictures was sent
    width: int            # as coded
    height: int
    crf: int
    capped: bool          # the encoder's own rate control held the rate
    overhead_bytes: int   # of the datagrams; part of ``ClipResult.total_bytes``
    delay_s: float        # longest wait of a picture for the link
    exceeded: int         # bytes above what the link carries in time


@dataclass(frozen=True)
class ClipResult:
    """
    A clip as the receiver sees it.

    ``decoded`` has a picture, uint8 (H, W, 3), per source picture: the newest that has crossed
    the link by then, and ``shown`` the place of its source. ``frame_bytes`` has the bytes of its
    access unit for each, 0 where none was sent.
    """

    frame_bytes: list[int]
    payload_bytes: int        # of the slices alone
    total_bytes: int          # frame_bytes and the datagrams' headers
    decoded: list[np.ndarray]
    shown: list[int]
    encode_s: float
    decode_s: float
    detail: ClipDetail


def code_clip(name: str, frames: Sequence[np.ndarray], fps: float, kbps: float, *,
              distance: Distance | None = None, overhead_bytes: int = OVERHEAD_BYTES,
              delay_s: float = 0.0, clock: Callable[[], float] = time.perf_counter) -> ClipResult:
    """
    Code a clip at the best setting that a link of ``kbps`` (1000 bit/s) carries in time.

    The mean rate with datagram headers is at most ``kbps`` and no picture waits longer than
    ``MAX_DELAY_S``. The grid of ``SCALES`` and ``DIVISORS`` is walked one coordinate at a time,
    from two ends. Where nothing fits the smallest is returned and ``detail.exceeded`` is above 0.

    :param name: 'h264', 'h265' or 'av1'.
    :param frames: uint8 (H, W, 3), all of one size; about ten seconds make a good clip, longer
        ones share one rate factor.
    :param distance: smaller is nearer; chooses the setting by what is seen at some instants, each
        against the frame of that instant (PSNR if None).
    :param delay_s: of the link, beside the time that bytes take to leave.
    """
    _check(name, frames, fps, kbps)
    search = Search(VIDEOS[name], frames, fps, Link(kbps * 125, overhead_bytes, delay_s),
                    distance or _minus_psnr)
    best = search.best()
    return _measured(search, best, clock)


def _check(name: str, frames: Sequence[np.ndarray], fps: float, kbps: float) -> None:
    if name not in VIDEOS:
        raise InvalidInputError('video codec', name, sorted(VIDEOS))
    if not fps > 0 or not kbps > 0:
        raise InvalidInputError('fps and kbps', (fps, kbps), 'above 0')
    shapes = {(f.shape, str(f.dtype)) for f in frames}
    if len(shapes) != 1 or frames[0].ndim != 3 or frames[0].dtype != np.uint8:
        raise InvalidInputError('frames', sorted(shapes), 'uint8 (H, W, 3), all of one size')
    if min(frames[0].shape[:2]) < MIN_SIDE:
        raise InvalidInputError('frames', frames[0].shape, f'sides of at least {MIN_SIDE}')


def _minus_psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    return -psnr(picture, reference)


def _measured(search: Search, best: Trial, clock: Callable[[], float]) -> ClipResult:
    """Code and decode once more for the times."""
    codec, link = search.codec, search.link
    began = clock()
    units = codec.encode(list(search.planes(best.scale, best.divisor)), best.setting)
    encoded = clock()
    pictures = [search.enlarged(p) for p in codec.decode(units)]
    decode_s = clock() - encoded
    sizes = [len(unit) for unit in units]
    total = sum(map(link.wire_bytes, sizes))
    delay = link.delay(sizes, best.setting.fps)
    excess = max(total - link.bytes_per_second * search.seconds,
                 (delay - MAX_DELAY_S) * link.bytes_per_second, 0)
    width, height = search.coded_size(best.scale)
    screen = search.on_screen(best)
    return ClipResult(
        frame_bytes=[sizes[i // best.divisor] if i % best.divisor == 0 else 0
                     for i in range(len(search.frames))],
        payload_bytes=sum(map(codec.payload, units)), total_bytes=total,
        decoded=[pictures[number] for number in screen],
        shown=[number * best.divisor for number in screen],
        encode_s=encoded - began, decode_s=decode_s,
        detail=ClipDetail(codec.name, best.scale, best.divisor, width, height, best.setting.crf,
                          best.setting.cap_kbps is not None, total - sum(sizes), delay,
                          ceil(excess)))
