"""Standard picture codecs at their best scale and quality under a byte ceiling."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import time

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.peers.registry import STILLS
from gsc_ros.evaluation.peers.still_codec import StillCodec
import numpy as np
from PIL import Image

SCALES = (1, 2, 4, 8)
Distance = Callable[[np.ndarray, np.ndarray], float]
Clock = Callable[[], float]


@dataclass(frozen=True)
class PeerDetail:
    """What was chosen; ``exceeded`` is 0 where the file fits."""

    scale: int       # the picture was shrunk by this factor
    quality: int     # the codec's own quality setting
    exceeded: int    # bytes above the ceiling


@dataclass(frozen=True)
class PeerResult:
    """What a peer made of one picture under one ceiling."""

    bytes: int              # of the whole file, as a receiver would need it
    payload_bytes: int      # of these without the container
    decoded: np.ndarray     # (H, W, 3) uint8, the source's size
    encode_s: float         # of one encoding with the chosen setting
    decode_s: float
    detail: PeerDetail


def code_still(name: str, picture: np.ndarray, max_bytes: int, *,
               distance: Distance | None = None, clock: Clock = time.perf_counter) -> PeerResult:
    """
    Code a picture at the scale and quality that are best under a ceiling.

    Ceilings share their work where one picture (the same array) is asked for again.

    :param name: a key of ``STILLS``.
    :param picture: uint8 (H, W, 3).
    :param distance: smaller is nearer; chooses the scale (PSNR if None).
    :raises InvalidInputError: if the name is unknown or the picture is too small for the codec.
    """
    if name not in STILLS:
        raise InvalidInputError('picture codec', name, sorted(STILLS))
    encoder = _LATEST.get(name)
    if encoder is None or encoder.picture is not picture:
        _LATEST[name] = encoder = PeerEncoder(STILLS[name], picture, clock)
    return encoder.best(max_bytes, distance or _minus_psnr)


def _minus_psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    return -psnr(picture, reference)


class PeerEncoder:
    """Encodes one picture with one codec; what was encoded serves every ceiling."""

    def __init__(self, codec: StillCodec, picture: np.ndarray, clock: Clock = time.perf_counter
                 ) -> None:
        """
        Shrink a picture, uint8 (H, W, 3) RGB, by every factor of ``SCALES`` that the codec takes.

        :raises InvalidInputError: if it takes none.
        """
        self.codec, self.picture, self._clock = codec, picture, clock
        height, width = picture.shape[:2]
        unit = codec.side_multiple
        sizes = {scale: (unit * max(1, round(width / scale / unit)),
                         unit * max(1, round(height / scale / unit))) for scale in SCALES}
        self._shrunk = {
            scale: Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
            for scale, size in sizes.items() if min(size) >= codec.min_side}
        if not self._shrunk:
            raise InvalidInputError('picture side', min(width, height),
                                    f'at least {codec.min_side} for {codec.name}')
        self._files: dict[tuple[int, int], tuple[bytes, float]] = {}
        self._decoded: dict[tuple[int, int], tuple[np.ndarray, float]] = {}

    @property
    def scales(self) -> list[int]:
        """Factors by which this picture can be shrunk for this codec."""
        return list(self._shrunk)

    def file(self, scale: int, quality: int) -> bytes:
        """Encode, or take what was encoded before."""
        key = scale, quality
        if key not in self._files:
            began = self._clock()
            data = self.codec.encode(self._shrunk[scale], quality)
            self._files[key] = data, self._clock() - began
        return self._files[key][0]

    def decoded(self, scale: int, quality: int) -> np.ndarray:
        """Decode and enlarge to the source's size, (H, W, 3) uint8."""
        key = scale, quality
        if key not in self._decoded:
            data = self.file(scale, quality)
            began = self._clock()
            small = Image.fromarray(self.codec.decode(data))
            height, width = self.picture.shape[:2]
            picture = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
            self._decoded[key] = picture, self._clock() - began
        return self._decoded[key][0]

    def best_quality(self, scale: int, max_bytes: int) -> int | None:
        """
        Find the highest quality that fits by bisection; None if not even the lowest does.

        Sizes are monotone but for single bytes, so the answer fits always and is the best
        within a step.
        """
        low, high = self.codec.qualities[0], self.codec.qualities[-1]
        if self.codec.cost(self.file(scale, low)) > max_bytes:
            return None
        while low < high:
            middle = (low + high + 1) // 2
            if self.codec.cost(self.file(scale, middle)) <= max_bytes:
                low = middle
            else:
                high = middle - 1
        return low

    def best(self, max_bytes: int, distance: Distance) -> PeerResult:
        """
        Take the scale whose picture is nearest to the original by ``distance``.

        Where no file fits, the smallest there is, with ``exceeded`` above 0.
        """
        if max_bytes < 1:
            raise InvalidInputError('max_bytes', max_bytes, '1 or more')
        options = [(scale, quality) for scale in self.scales
                   if (quality := self.best_quality(scale, max_bytes)) is not None]
        if options:
            return self._result(
                min(options, key=lambda o: distance(self.decoded(*o), self.picture)), max_bytes)
        lowest = self.codec.qualities[0]
        scale = min(self.scales, key=lambda s: self.codec.cost(self.file(s, lowest)))
        return self._result((scale, lowest), max_bytes)

    def _result(self, option: tuple[int, int], max_bytes: int) -> PeerResult:
        picture, data = self.decoded(*option), self.file(*option)
        detail = PeerDetail(*option, max(0, self.codec.cost(data) - max_bytes))
        return PeerResult(len(data), self.codec.payload(data), picture, self._files[option][1],
                          self._decoded[option][1], detail)


# The latest picture of each codec, so that the next ceiling need not begin anew.
_LATEST: dict[str, PeerEncoder] = {}
