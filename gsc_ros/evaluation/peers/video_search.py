"""The best setting of a video codec for one clip on one link."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

import av
from gsc_ros.evaluation.peers.stills import Distance, SCALES
from gsc_ros.evaluation.peers.video_codecs import MIN_SIDE, Setting, VideoCodec
import numpy as np
from PIL import Image

DIVISORS = (1, 2, 4, 8, 16, 32)
MAX_DELAY_S = 1.0            # that a picture may wait for the link: the buffer of the rate control
DATAGRAM_PAYLOAD = 1472      # Ethernet's 1500 less the headers
# UDP/IPv4 headers, which our own packets pay too, and RTP where ours have the link's header.
RTP_BYTES = 12
OVERHEAD_BYTES = 28 + RTP_BYTES
_JUDGED_FRAMES = 8           # of a clip, to choose among the settings
_GOLDEN = 0.6180339887498949
_STEPS_PER_HALVING = 6       # of the constant rate factor; about, for all three codecs
_CAP_SHARES = (0.6, 0.8, 1.0, 1.2)   # of the link, asked of the rate control
_COARSER = (6, 12)           # steps of the rate factor above the finest that fits
_FULL = 0.95                 # of the ceiling: no finer factor is looked for


@dataclass(frozen=True)
class Link:
    """
    A constant rate in front of which pictures may wait up to ``MAX_DELAY_S``.

    ``delay_s`` is how long the last byte of a picture takes to the other end.
    """

    bytes_per_second: float
    overhead_bytes: int = OVERHEAD_BYTES
    delay_s: float = 0.0

    def wire_bytes(self, size: int) -> int:
        """Bytes of an access unit with the headers of its datagrams."""
        return size + self.overhead_bytes * max(1, ceil(size / DATAGRAM_PAYLOAD))

    def delay(self, sizes: Sequence[int], fps: float) -> float:
        """Longest time in s from a picture's capture until its last byte is sent."""
        waiting = longest = 0.0
        for size in sizes:
            waiting += self.wire_bytes(size)
            longest = max(longest, waiting)
            waiting = max(0.0, waiting - self.bytes_per_second / fps)
        return longest / self.bytes_per_second

    def crossed(self, sizes: Sequence[int], fps: float) -> list[float]:
        """When each picture, taken at ``fps`` from 0 s on, has crossed; one after the other."""
        free, times = 0.0, []
        for number, size in enumerate(sizes):
            free = max(free, number / fps) + self.wire_bytes(size) / self.bytes_per_second
            times.append(free + self.delay_s)
        return times

    def fill(self, sizes: Sequence[int], fps: float, seconds: float) -> float:
        """Share of the link that is used, by the mean rate or the longest wait; fits up to 1."""
        mean = sum(map(self.wire_bytes, sizes)) / seconds / self.bytes_per_second
        return max(mean, self.delay(sizes, fps) / MAX_DELAY_S)


@dataclass(frozen=True)
class Trial:
    """A clip coded once; ``fill`` is up to 1 where it fits (see ``Link.fill``)."""

    scale: int
    divisor: int
    setting: Setting
    units: list[bytes]
    fill: float


class Search:
    """Searches the grid of scales and picture rates; each point is coded at most once."""

    def __init__(self, codec: VideoCodec, frames: Sequence[np.ndarray], fps: float, link: Link,
                 distance: Distance) -> None:
        self.codec, self.frames, self.fps, self.link = codec, frames, fps, link
        self.seconds = len(frames) / fps
        self._distance = distance
        self.scales = [s for s in SCALES if min(frames[0].shape[:2]) // s >= MIN_SIDE]
        self.divisors = self._divisors()
        self._known: dict[tuple[int, int], tuple[float, Trial]] = {}

    def best(self) -> Trial:
        """Best of two walks over the grid: from every picture on, and from few that are good."""
        ends = [self._walk(divisor) for divisor in {self.divisors[0], self._likely_divisor()}]
        return min((self.at(*end) for end in ends), key=lambda scored: scored[0])[1]

    def _walk(self, divisor: int) -> tuple[int, int]:
        """One coordinate at a time until neither finds a better point: scale and divisor."""
        scale = 0
        while True:
            last = scale, divisor
            scale = min(self.scales, key=lambda s: self.at(s, divisor)[0])
            divisor = min(self.divisors, key=lambda d: self.at(scale, d)[0])
            if (scale, divisor) == last:
                return last

    def at(self, scale: int, divisor: int) -> tuple[float, Trial]:
        """Score (lower is better) and trial: one rate factor or the encoder's rate control."""
        if (scale, divisor) not in self._known:
            planes = list(self.planes(scale, divisor))
            constant = self._finest(planes, scale, divisor)
            trials = [constant, *self._coarser(planes, constant), *self._capped(planes, constant)]
            self._known[scale, divisor] = min(((self._judge(t), t) for t in trials),
                                              key=lambda scored: scored[0])
        return self._known[scale, divisor]

    def _finest(self, planes: Sequence[np.ndarray], scale: int, divisor: int) -> Trial:
        """Finest rate factor that fits; the coarsest there is where none does."""
        low, high = self.codec.factors[0] - 1, self.codec.factors[-1]
        fits = trial = self._encode(planes, scale, divisor, Setting(high, self.fps / divisor))
        while fits.fill <= 1 and low + 1 < high and not _FULL <= trial.fill <= 1:
            step = ceil(_STEPS_PER_HALVING * log2(trial.fill))
            crf = min(max(trial.setting.crf + step, low + 1), high - 1)
            trial = self._encode(planes, scale, divisor, replace(trial.setting, crf=crf))
            if trial.fill <= 1:
                high, fits = crf, trial
            else:
                low = crf
        return fits

    def _coarser(self, planes: Sequence[np.ndarray], constant: Trial) -> Iterator[Trial]:
        """Smaller pictures, which are fresher when they are seen."""
        for steps in _COARSER:
            crf = min(constant.setting.crf + steps, self.codec.factors[-1])
            if crf > constant.setting.crf:
                yield self._encode(planes, constant.scale, constant.divisor,
                                   replace(constant.setting, crf=crf))

    def on_screen(self, trial: Trial) -> list[int]:
        """Which of the pictures sent is shown at each frame's time; before the first: that one."""
        times = self.link.crossed([len(unit) for unit in trial.units], trial.setting.fps)
        return [max(bisect_right(times, i / self.fps) - 1, 0) for i in range(len(self.frames))]

    def _capped(self, planes: Sequence[np.ndarray], constant: Trial) -> Iterator[Trial]:
        """Finer in quiet seconds, coarser in busy ones: left to the encoder's rate control."""
        if min(self.coded_size(constant.scale)) < self.codec.min_capped_side:
            return
        payload = self.link.bytes_per_second - self.link.overhead_bytes * constant.setting.fps
        crf = max(constant.setting.crf - _STEPS_PER_HALVING, self.codec.factors[0])
        caps = {int(payload / 125 * share) for share in _CAP_SHARES}
        for cap in sorted(caps - {0}):
            yield self._encode(planes, constant.scale, constant.divisor,
                               replace(constant.setting, crf=crf, cap_kbps=cap))

    def _encode(self, planes: Sequence[np.ndarray], scale: int, divisor: int, setting: Setting
                ) -> Trial:
        units = self.codec.encode(planes, setting)
        fill = self.link.fill([len(unit) for unit in units], setting.fps, self.seconds)
        return Trial(scale, divisor, setting, units, fill)

    def planes(self, scale: int, divisor: int) -> Iterator[np.ndarray]:
        """Pictures to send, shrunk: uint8 (H * 3 / 2, W) each, 4:2:0."""
        size = self.coded_size(scale)
        for picture in self.frames[::divisor]:
            small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
            frame = av.VideoFrame.from_ndarray(np.asarray(small), format='rgb24')
            yield frame.to_ndarray(format='yuv420p')

    def coded_size(self, scale: int) -> tuple[int, int]:
        """Width and height: the nearest even ones."""
        height, width = self.frames[0].shape[:2]
        return 2 * round(width / scale / 2), 2 * round(height / scale / 2)

    def enlarged(self, small: np.ndarray) -> np.ndarray:
        """Scale a decoded picture (h, w, 3) uint8 to the source's size, (H, W, 3) uint8."""
        height, width = self.frames[0].shape[:2]
        return np.asarray(Image.fromarray(small).resize((width, height),
                                                        Image.Resampling.BICUBIC))

    def _divisors(self) -> list[int]:
        """Picture rates whose datagram headers alone leave room; the lowest in any case."""
        possible = [d for d in DIVISORS if d == 1 or d < len(self.frames)]
        return [d for d in possible if d == possible[-1]
                or self.link.overhead_bytes * self.fps / d < self.link.bytes_per_second]

    def _likely_divisor(self) -> int:
        """Picture rate to begin with: some hundred bytes a picture."""
        wanted = self.fps * 300 / self.link.bytes_per_second
        return min(self.divisors, key=lambda d: abs(log2(d) - log2(max(wanted, 1))))

    def _judge(self, trial: Trial) -> float:
        """Mean distance of what fits; what does not fit comes after all that does."""
        if trial.fill > 1:
            return 1e6 * trial.fill
        pictures = self.codec.decode(trial.units)
        judged = [int(len(self.frames) * (i * _GOLDEN % 1)) for i in range(_JUDGED_FRAMES)]
        screen = self.on_screen(trial)
        return float(np.mean([self._distance(self.enlarged(pictures[screen[i]]), self.frames[i])
                              for i in judged]))
