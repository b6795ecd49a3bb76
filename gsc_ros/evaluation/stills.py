"""Measures single pictures at bits per pixel."""
from __future__ import annotations

from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.coded_pictures import CodedPicture, peer_still, SOURCE
from gsc_ros.evaluation.instruments import add, add_source, Instruments, pixels
from gsc_ros.evaluation.work import Item, Result
from gsc_ros.scene.watcher import Scene
import numpy as np


def measure_still(tools: Instruments, item: Item) -> Result:
    """Code a picture with every codec at every rate, and judge what comes out."""
    shot, result = item.shots[0], Result()
    source = shot.read()
    for task in item.tasks:
        if task[0] == SOURCE:
            add_source(tools, result, item, shot, source)
    ours = [(codec, target) for name, target in item.tasks if (codec := parse_codec(name))]
    scene = tools.ours.describe(source) if any(c.describes for c, _ in ours) else Scene()
    for target, max_bytes in _ceilings(item, source).items():
        made = _code(tools, item, source, scene, target, max_bytes)
        for one in made:
            row = tools.row(item, shot, source, one, scene)
            row |= {'target_bpp': target, 'max_bytes': max_bytes,
                    'exceeded': one.detail.get('exceeded', max(0, one.size - max_bytes))}
            add(result, item, row, one.picture)
    return result


def _code(tools: Instruments, item: Item, source: np.ndarray, scene: Scene, target: float,
          max_bytes: int) -> list[CodedPicture]:
    names = [name for name, rate in item.tasks if rate == target]
    ours = [codec for name in names if (codec := parse_codec(name))]
    peers = [name for name in names if parse_codec(name) is None]
    made = list(tools.ours.still(source, scene, ours, max_bytes)) if ours else []
    return made + [peer_still(n, source, max_bytes, tools.judge.distance) for n in peers]


def _ceilings(item: Item, source: np.ndarray) -> dict[float, int]:
    """Map each rate in bits per pixel to the bytes that it allows."""
    return {target: int(target * pixels(source) / 8)
            for target in dict.fromkeys(rate for _, rate in item.tasks) if target is not None}
