"""
Makes the golden packets of the version at hand; run once per version: python make_golden.py.

Files of a released version are never made again: they must decode for ever.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gsc_ros.codec.bitstream import CoderId, pack, Packet, VERSION
from gsc_ros.codec.caption import encode_caption
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.hevc.alone import coded_size
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.hevc.streams import decode_planes
from gsc_ros.codec.objects import encode_objects, SceneObject
import numpy as np

FOLDER = Path(__file__).parent
GRID = 5    # places per axis at which the plain picture is noted

_CASES = {
    # name: (width, height, bytes for the latent, caption, objects, seed, sequence, reference)
    'camera': (640, 480, 320, 'two cars and a person, street, daylight, left: car',
               (SceneObject(2, 0.9, (0.1, 0.5, 0.4, 0.8)),
                SceneObject(0, 0.5, (0.7, 0.3, 0.8, 0.9))), 7, 65535, None),
    'smallest': (16, 16, 20, '', (), 0, 0, None),
    'odd_size': (333, 217, 150, 'Ärger: 漢字 & Ωmega', (), 255, 1, 255),
    'wide': (4096, 16, 90, 'a', (SceneObject(79, 1.0, (0.0, 0.0, 1.0, 1.0)),), 1, 2, 1),
    'fine': (160, 120, 3000, 'A dog runs through the grass .', (), 3, 4, None),
}


def picture(width: int, height: int) -> np.ndarray:
    """Sky, a road, a box and fine stripes, from integers alone: uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    red = 60 + 120 * y // height
    green = 90 + 60 * x // width + 20 * (x // 8 % 2)
    blue = 200 - 150 * y // height
    box = (abs(x - width // 3) < width // 8) & (abs(y - height // 2) < height // 5)
    stacked = np.where(box[..., None], (200, 40, 30), np.stack([red, green, blue], -1))
    return stacked.astype(np.uint8)


def samples(plain: np.ndarray) -> list[list[int]]:
    """Return RGB at a grid of places, row by row."""
    rows, columns = (np.arange(GRID) * (side - 1) // (GRID - 1) for side in plain.shape[:2])
    return [pixel.tolist() for pixel in plain[np.ix_(rows, columns)].reshape(-1, 3)]


def planes_digest(coded: Coded, width: int, height: int) -> str:
    """SHA-256 of the decoded H.265 planes, which are the same on every machine."""
    planes = decode_planes(coded.data, *coded_size(width, height, coded.quality))
    return hashlib.sha256(b''.join(plane.tobytes() for plane in planes)).hexdigest()


def main() -> None:
    """Write a packet and its expected contents for each case."""
    coder, expected = HevcCoder(), {}
    for name, case in _CASES.items():
        width, height, max_bytes, caption, objects, seed, sequence, reference = case
        coded = coder.encode(picture(width, height), max_bytes)
        data = pack(Packet(CoderId.HEVC, width, height, coder.fingerprint, coded.quality, seed,
                           sequence, reference, encode_caption(caption), encode_objects(objects),
                           coded.data))
        (FOLDER / f'v{VERSION}_hevc_{name}.gsc').write_bytes(data)
        expected[f'v{VERSION}_hevc_{name}'] = {
            'width': width, 'height': height, 'quality': coded.quality, 'seed': seed,
            'sequence': sequence, 'reference': reference, 'caption': caption,
            'objects': [[o.class_id, round(o.score, 2), *o.box] for o in objects],
            'latent_bytes': len(coded.data), 'planes': planes_digest(coded, width, height),
            'samples': samples(coder.decode(coded, width, height))}
    (FOLDER / f'v{VERSION}_hevc.json').write_text(
        json.dumps(expected, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main()
