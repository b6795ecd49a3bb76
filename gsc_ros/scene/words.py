"""
Words for a whole picture (outdoors, greenery, ...) from its colour statistics.

Thresholds were chosen on one half of 939 captioned photos (Flickr8k, COCO) and checked on the
other: of the pictures called ``outdoors`` whose captions tell, 98 % are; of those called
``greenery``, 78 % have two captions or more that name grass, trees or the like. Snow, water, sand,
indoors and night could not be told well enough from colours alone and are left out.
"""
from __future__ import annotations

import cv2
import numpy as np

_THUMBNAIL = (32, 24)        # width, height
_OUTDOORS = 0.3              # share of the picture that is plant green, or of its top sky blue
_GREENERY = 0.5              # share of the lower half that is plant green
_DARK = 0.15                 # mean grey, 0..1
_VIVID = 0.18                # saturation from which a colour has a name
# Upper ends of hue ranges in degrees.
_HUES = ((15, 'red'), (45, 'brown'), (70, 'yellow'), (165, 'green'), (255, 'blue'),
         (290, 'purple'), (340, 'pink'), (361, 'red'))


def scene_words(picture: np.ndarray, alone: bool = False) -> list[str]:
    """
    Words for a uint8 picture (H, W, 3) RGB, the surest first.

    :param alone: whether nothing else is known: then the main colour is named if no word fits.
    """
    step = max(1, min(picture.shape[:2]) // 240)
    small = cv2.resize(np.ascontiguousarray(picture[::step, ::step]), _THUMBNAIL,
                       interpolation=cv2.INTER_AREA)
    rgb = small.astype(np.float32) / 255
    hue, saturation, value = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    green = (hue > 65) & (hue < 165) & (saturation > _VIVID) & (value > 0.12)
    blue = (hue > 185) & (hue < 255) & (saturation > 0.15) & (value > 0.35)
    words = []
    if rgb.mean() < _DARK:
        words.append('dark')
    if green[12:].mean() > _GREENERY:
        words.append('greenery')
    if max(green.mean(), blue[:8].mean()) > _OUTDOORS:
        words.append('outdoors')
    if alone and not words:
        words.append(f'{_main_colour(hue, saturation, value)} scene')
    return words


def _main_colour(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> str:
    """Name of the colour range that covers most of the picture."""
    vivid = saturation >= _VIVID
    shares = {'grey': float((~vivid).mean())}
    low = 0.0
    for high, name in _HUES:
        inside = vivid & (hue >= low) & (hue < high)
        shares[name] = shares.get(name, 0.0) + float(inside.mean())
        low = high
    name = max(shares, key=lambda key: shares[key])
    if name != 'grey':
        return name
    brightness = float(value[~vivid].mean())
    return 'black' if brightness < 0.2 else 'white' if brightness > 0.8 else 'grey'
