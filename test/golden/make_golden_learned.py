"""
Makes the golden packet of the shipped learned coder: PYTHONPATH=. python THIS after an export.

Unlike HEVC packets these belong to one checkpoint: other weights refuse them by fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
import sys

from gsc_ros.codec.bitstream import pack, Packet
from gsc_ros.codec.coder import Coded
from gsc_ros.models.learned_coder import LearnedCoder
import numpy as np

FOLDER = Path(__file__).parent
NAME = 'v1_learned_camera'


def symbols_digest(symbols: np.ndarray) -> str:
    """SHA-256 of integer symbols, which are the same on every machine."""
    return hashlib.sha256(symbols.astype('<i4').tobytes()).hexdigest()


def main() -> None:
    """Write the packet and what it must decode to."""
    sys.path.insert(0, str(FOLDER))
    from make_golden import picture
    coder = LearnedCoder.load()
    width, height, quality = 640, 480, coder.top_quality // 2
    coded = coder.encode_at(picture(width, height), quality)
    packet = Packet(coder.coder_id, width, height, coder.fingerprint, quality, 3, 4, None,
                    b'', b'', coded.data)
    (FOLDER / f'{NAME}.gsc').write_bytes(pack(packet))
    symbols = coder.decode_symbols(Coded(quality, coded.data), width, height)
    (FOLDER / f'{NAME}.json').write_text(json.dumps({
        'fingerprint': coder.fingerprint, 'quality': quality, 'shape': symbols.shape,
        'spread': [int(symbols.min()), int(symbols.max())],
        'symbols': symbols_digest(symbols)}) + '\n')


if __name__ == '__main__':
    main()
