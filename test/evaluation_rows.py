"""Synthetic rows of an evaluation: curves whose distances are known, with small pictures."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BPP, KBPS = (0.005, 0.01, 0.02, 0.04), (2.0, 8.0)
# Bytes that a codec needs over ours for the same figures.
FACTORS = {'gsc': 1.0, 'gsc-plain': 1.25, 'webp': 2.0, 'avif': 1.6}
CLIP_FACTORS = {'gsc': 1.0, 'gsc-plain': 1.25, 'h265': 1.5}
_SIDE = 64


def _figures(rate: float, hardness: float) -> dict[str, Any]:
    level = math.log2(rate)
    return {'vgg': -0.5 * level + hardness, 'psnr': 25 + 1.5 * level - hardness,
            'ms_ssim': 0.9 + 0.05 * level - 0.02 * hardness, 'f1': 0.4, 'tp': 2, 'fp': 1, 'fn': 3,
            'invented': 1 / 3, 'lost': 0.6, 'flicker': None}


def _row(codec: str, input_: str, index: int, **more: Any) -> dict[str, Any]:
    variant = {'source': 'source', 'gsc': 'regenerated', 'gsc-plain': 'plain'}.get(codec, 'peer')
    return {'input': input_, 'set': input_.split('/')[0], 'index': index, 'stamp_ns': None,
            'width': _SIDE, 'height': _SIDE, 'target_bpp': None, 'target_kbps': None,
            'codec': codec, 'variant': variant, 'bytes': 100, 'payload_bytes': 80, 'bpp': 0.01,
            'exceeded': 0, 'metrics': {}, 'encode_s': 0.05, 'decode_s': 0.1, 'peak_mb': 300.0,
            'picture': None, 'detail': {'caption': 'a </script> street'}} | more


def still_rows(pictures: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Every codec at every rate; hardness differs from picture to picture, not between codecs."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(pictures):
        name, hardness = f'{"street" if i % 2 else "yard"}/{i:03}', float(rng.normal(2, 0.5))
        rows.append(_row('source', name, 0, picture=f'pictures/{i}.jpg'))
        for codec, factor in FACTORS.items():
            for target in BPP:
                rows.append(_row(codec, name, 0, target_bpp=target, bpp=target,
                                 bytes=round(target * 1e5), payload_bytes=round(target * 8e4),
                                 metrics=_figures(target / factor, hardness),
                                 picture=f'pictures/{i}.jpg' if i < 3 else None))
    return rows


def clip_rows(seconds: int = 60) -> list[dict[str, Any]]:
    """Give one judged picture a second."""
    rows = []
    for i in range(seconds):
        rows.append(_row('source', 'drive/clip', i, stamp_ns=i * 10 ** 9))
        for codec, factor in CLIP_FACTORS.items():
            rows += [_row(codec, 'drive/clip', i, stamp_ns=i * 10 ** 9, target_kbps=target,
                          kbps=0.97 * target, fps=1.5, age_s=0.3, seconds=1.0,
                          metrics=_figures(target / factor / 1000, 1 + i / 100))
                     for target in KBPS]
    return rows


def write_rows(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Write one file per codec and the pictures; return the rows' folder."""
    (folder / 'rows').mkdir(parents=True)
    (folder / 'pictures').mkdir()
    for row in rows:
        with (folder / 'rows' / f'{row["codec"]}.jsonl').open('a') as file:
            file.write(json.dumps(row) + '\n')
    for name in {row['picture'] for row in rows if row['picture']}:
        shade = np.full((_SIDE, _SIDE, 3), 40 * (int(Path(name).stem) % 6), np.uint8)
        Image.fromarray(shade).save(folder / name)
    return folder / 'rows'
