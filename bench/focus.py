"""
What smoothing the background is worth: detections at equal bytes, by strength.

    python bench/focus.py --data ../shared/data [--bpp 0.02,0.04] [--strengths 0,0.8,1.2]

The robot's boxes are those of the detector that judges, on the original; plain decodes without
text. F1 is of its detections on the decoded picture against those on the original.
"""
from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.regions import Focus
from gsc_ros.evaluation.judges.matching import Agreement, agreement
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
import numpy as np
from PIL import Image
from stills import numbers, README, stills
from tqdm import tqdm


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--bpp', type=numbers, default=[0.02, 0.04])
    parser.add_argument('--strengths', type=numbers, default=[0.0, 0.6, 0.8, 1.2])
    parser.add_argument('--first', type=int, default=README,
                        help='pictures of each set to pass over')
    parser.add_argument('--count', type=int, default=12, help='pictures of each set to take')
    given = parser.parse_args()
    detector, coder = OnnxDetector(given.data / 'models' / 'yolov8n_int8.onnx'), HevcCoder()
    found = defaultdict(list)
    for file in tqdm(stills(given.data, given.count, given.first), unit='pic'):
        picture = np.asarray(Image.open(file).convert('RGB'))
        height, width = picture.shape[:2]
        wanted = detector.detect(picture)
        for bpp in given.bpp:
            for strength in given.strengths:
                coded = coder.encode(picture, int(bpp * width * height / 8),
                                     Focus.on(wanted, strength))
                plain = coder.decode(coded, width, height)
                score = agreement(detector.detect(plain), wanted)
                found[bpp, strength].append(
                    (score.matched, score.found, score.wanted, psnr(plain, picture)))
    print('| bpp | strength | F1 | right | found | wanted | PSNR, dB |\n' + '| --- ' * 7 + '|')
    for (bpp, strength), rows in found.items():
        right, seen, there, decibels = np.sum(rows, axis=0)
        print(f'| {bpp:g} | {strength:g} | {Agreement(right, seen, there).f1:.3f} | {right:g} '
              f'| {seen:g} | {there:g} | {decibels / len(rows):.2f} |')


if __name__ == '__main__':
    main()
