"""
Regions of interest: what lies outside is smoothed before it is coded, so that they get its bytes.

Needs nothing of the bitstream. A smooth background takes few bytes, so the same ceiling buys a
finer picture.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.resample import Planes
import numpy as np

Box = tuple[float, float, float, float]     # x_min, y_min, x_max, y_max, 0..1

STRENGTH = 0.8      # deviation of the smoothing unless the caller says otherwise [coded pixels]
STRONGEST = 8.0
_MARGIN = 0.1       # of its size that is kept around a region, as detectors cut close
_MOST = 0.6         # share of the picture above which there is too little left to take from


@dataclass(frozen=True)
class Focus:
    """
    Regions that matter most, and how much everything else is smoothed for them.

    ``strength`` is the deviation of a Gaussian in pixels of the coded picture, 0 for none.
    """

    regions: Sequence[Box] = ()
    strength: float = STRENGTH

    def __post_init__(self) -> None:
        """
        See to it that regions lie in the picture.

        :raises InvalidInputError: otherwise, or if the strength is not within 0..``STRONGEST``.
        """
        for x_min, y_min, x_max, y_max in self.regions:
            if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
                raise InvalidInputError('region', (x_min, y_min, x_max, y_max),
                                        '0 <= min < max <= 1')
        if not 0 <= self.strength <= STRONGEST:
            raise InvalidInputError('focus strength', self.strength, f'0..{STRONGEST}')

    @classmethod
    def on(cls, objects: Iterable[SceneObject], strength: float = STRENGTH) -> Focus:
        """
        Focus on what a detector has found.

        :raises InvalidInputError: as the constructor.
        """
        return cls([item.box for item in objects], strength)

    def smooth_outside(self, planes: Planes) -> Planes:
        """4:2:0 planes, smoothed; as they are if the regions cover most or none of them."""
        if not self.regions or not self.strength:
            return planes
        import cv2  # 0.2 s that a decoder need not wait
        height, width = planes[0].shape
        inside = _mask(self.regions, width, height)
        if inside.mean() > _MOST:
            return planes
        inside = cv2.GaussianBlur(inside, (0, 0), self.strength)    # no seam
        coarse = cv2.resize(inside, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        luma, blue, red = planes
        return (_blend(luma, inside, self.strength), _blend(blue, coarse, self.strength / 2),
                _blend(red, coarse, self.strength / 2))


NOWHERE = Focus()


def _mask(regions: Sequence[Box], width: int, height: int) -> np.ndarray:
    """1 inside the widened regions and 0 outside, float32 (height, width)."""
    mask = np.zeros((height, width), np.float32)
    for x_min, y_min, x_max, y_max in regions:
        right, down = _MARGIN * (x_max - x_min), _MARGIN * (y_max - y_min)
        left, top = int(max(x_min - right, 0) * width), int(max(y_min - down, 0) * height)
        mask[top:int(np.ceil((y_max + down) * height)),
             left:int(np.ceil((x_max + right) * width))] = 1
    return mask


def _blend(plane: np.ndarray, inside: np.ndarray, deviation: float) -> np.ndarray:
    import cv2
    sharp = plane.astype(np.float32)
    smooth = cv2.GaussianBlur(sharp, (0, 0), deviation)
    return np.rint(smooth + inside * (sharp - smooth)).astype(np.uint8)
