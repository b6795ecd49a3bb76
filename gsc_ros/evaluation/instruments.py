"""Codecs and judges that both kinds of item share, and the fields that all rows have."""
from __future__ import annotations

import io

from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.coded_pictures import CodedPicture, recall, SOURCE
from gsc_ros.evaluation.inputs import Shot
from gsc_ros.evaluation.judges.judge import Judge
from gsc_ros.evaluation.our_codecs import load_ours, OurCodecs
from gsc_ros.evaluation.rows import Row
from gsc_ros.evaluation.work import Item, Result, WorkSettings
from gsc_ros.scene.watcher import Scene
import numpy as np
from PIL import Image

_JPEG_QUALITY = 92
_WARM_UP = 64, 64, 3


class Instruments:
    """The judges and our codecs, which are loaded when an item first needs them."""

    def __init__(self, settings: WorkSettings, threads: int = 2) -> None:
        self.settings = settings
        self.judge = Judge(settings.judge, threads)
        self._ours: OurCodecs | None = None

    @property
    def ours(self) -> OurCodecs:
        """Our coders for every name of ours in the settings."""
        if self._ours is None:
            ours = [codec for name in self.settings.codecs if (codec := parse_codec(name))]
            self._ours = load_ours(ours, self.settings.device)
            # The first picture loads networks: no time of a row shall contain that.
            list(self._ours.still(np.zeros(_WARM_UP, np.uint8), Scene(), ours, 4000))
        return self._ours

    def row(self, item: Item, shot: Shot, source: np.ndarray, one: CodedPicture, scene: Scene
            ) -> Row:
        """
        Judge a coded picture; its row, without the rate that was asked for.

        :param source: the original, (H, W, 3) uint8.
        :param scene: caption and objects that the robot had, of which a packet sends a part.
        """
        metrics, detections = self.judge.judge(one.picture, source, item.stem)
        if one.sent is not None and one.detail.get('text'):
            metrics = metrics | recall(one.sent, scene, self.judge.objects(source))
        return blank_row(item, shot, source) | {
            'codec': one.codec, 'variant': one.variant, 'bytes': one.size,
            'payload_bytes': one.payload, 'bpp': 8 * one.size / pixels(source),
            'metrics': metrics, 'detections': detections,
            'features': self.judge.features(one.picture, source), 'encode_s': one.encode_s,
            'decode_s': one.decode_s, 'peak_mb': peak_mb(), 'detail': one.detail}


def pixels(picture: np.ndarray) -> int:
    """Count the pixels of a picture (H, W, 3)."""
    return int(picture.shape[0] * picture.shape[1])


def blank_row(item: Item, shot: Shot, source: np.ndarray) -> Row:
    """Return the fields that say which picture a row is about; ``source`` is (H, W, 3) uint8."""
    return {'input': item.input, 'set': item.dataset, 'index': shot.index,
            'stamp_ns': shot.stamp_ns, 'width': source.shape[1], 'height': source.shape[0],
            'target_bpp': None, 'target_kbps': None, 'picture': None}


def add_source(tools: Instruments, result: Result, item: Item, shot: Shot, source: np.ndarray
               ) -> None:
    """Add the row of the source (H, W, 3) uint8 itself: how well the detector does on it."""
    metrics, detections = tools.judge.judge_source(source, item.stem)
    add(result, item, blank_row(item, shot, source) | {
        'codec': SOURCE, 'variant': SOURCE, 'bytes': shot.size, 'payload_bytes': shot.size,
        'bpp': 8 * shot.size / pixels(source), 'metrics': metrics, 'detections': detections,
        'features': tools.judge.features(source, source),
        'encode_s': None, 'decode_s': None, 'peak_mb': peak_mb(), 'detail': {}}, source)


def add(result: Result, item: Item, row: Row, picture: np.ndarray) -> None:
    """Add a row and, where wanted, its picture (H, W, 3) uint8 as a JPEG file."""
    if item.keep:
        target = row['target_kbps'] if row['target_bpp'] is None else row['target_bpp']
        unit = '' if target is None else f'_{target:g}{"bpp" if row["target_bpp"] else "kbps"}'
        place = ''.join(c if c.isalnum() or c in '.-' else '_' for c in item.input)
        row['picture'] = f'pictures/{place}/{row["index"]:06}_{row["codec"]}{unit}.jpg'
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, 'JPEG', quality=_JPEG_QUALITY, subsampling=0)
        result.pictures[row['picture']] = stream.getvalue()
    result.rows.append(row)


def peak_mb() -> float | None:
    """Most memory that this process has held so far, in 10^6 bytes; None off Linux and macOS."""
    try:
        import resource
    except ImportError:
        return None
    import sys
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
