"""The three views side by side as a film."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from gsc_ros.codec.objects import SceneObject
from gsc_ros.demo.recording import VIEWS
from gsc_ros.media.overlay import draw_objects
from gsc_ros.media.sources import read_picture
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_TEXT, _DIM, _GROUND = (235, 238, 242), (150, 158, 170), (16, 19, 24)
_GAP, _HEAD, _FOOT = 8, 30, 52
_MAX_VIEW_WIDTH = 640
_TICK = Fraction(1, 1000)   # time base of the film in seconds
_LAST_S = 1.0   # how long the last picture stays


def compose(line: dict[str, Any], folder: Path, size: tuple[int, int],
            titles: Mapping[str, str]) -> np.ndarray:
    """
    One picture of the film, uint8 with even sides.

    :param size: width and height of each view in pixels.
    """
    width, height = size
    sheet = Image.new('RGB', (len(VIEWS) * width + (len(VIEWS) + 1) * _GAP,
                              _HEAD + height + _FOOT), _GROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for i, view in enumerate(VIEWS):
        left = _GAP + i * (width + _GAP)
        draw.text((left, 7), titles[view], _TEXT, font)
        if view in line['files']:
            sheet.paste(_view(folder / line['files'][view], line['detections'][view], size),
                        (left, _HEAD))
    latency = ('' if line['latency_s'] is None
               else f'{line["latency_s"]:.2f} s from camera to screen')
    facts = f'{line["bytes"]} bytes   {line["bpp"]:.4f} bpp   {line["coder"]}   {latency}'
    draw.text((_GAP, _HEAD + height + 7), facts, _DIM, font)
    draw.text((_GAP, _HEAD + height + 27), line['caption'] or '(no caption)', _TEXT, font)
    pixels = np.asarray(sheet)
    return pixels[:pixels.shape[0] // 2 * 2, :pixels.shape[1] // 2 * 2]


def _view(file: Path, detections: Sequence[dict[str, Any]] | None, size: tuple[int, int]
          ) -> Image.Image:
    picture = np.asarray(Image.fromarray(read_picture(file)).resize(size))
    objects = [SceneObject(o['class_id'], o['score'], tuple(o['box'])) for o in detections or ()]
    return Image.fromarray(draw_objects(picture, objects))


def write_movie(lines: Sequence[dict[str, Any]], folder: Path, path: Path,
                titles: Mapping[str, str]) -> None:
    """Write the pictures of ``lines`` at their own times, at least one, as H.264 in MP4."""
    first = lines[0]
    width = min(_MAX_VIEW_WIDTH, first['width'])
    size = width, max(2, round(first['height'] * width / first['width']))
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={'crf': '20',
                                                                   'preset': 'veryfast'})
        stream.pix_fmt, stream.codec_context.time_base = 'yuv420p', _TICK
        last = -1
        for i, line in enumerate([*lines, lines[-1]]):
            pixels = compose(line, folder, size, titles)
            if i == 0:
                stream.width, stream.height = pixels.shape[1], pixels.shape[0]
            time_s = (line['stamp_ns'] - first['stamp_ns']) / 1e9 + _LAST_S * (i == len(lines))
            frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
            frame.pts = last = max(last + 1, round(time_s / _TICK))
            frame.time_base = _TICK   # not the stream's, which the container changes
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
