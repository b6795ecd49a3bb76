"""
Which checkpoint of the embedded prior is the better: the same packets, decoded with each.

    python bench/priors.py --data ../shared/data old=gsc_ros/assets/prior.safetensors new=FILE
        [--bpp 0.005,0.01,0.02] [--no-text] [--count 12]

Stills of the validation sets that the table of docs/MEASURED.md does not use. F1 is of YOLOv8n's
detections
on the made picture against those on the original; KID, on DINO features, tells whether what was
made looks like pictures at all.
"""
from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import cast

from gsc_ros.codec.objects import SceneObject
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.evaluation.judges.dino import DinoMetric
from gsc_ros.evaluation.judges.kid import kernel_distance
from gsc_ros.evaluation.judges.matching import Agreement, agreement
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
from gsc_ros.evaluation.judges.vgg import VggMetric
from gsc_ros.prior.generator import embedded_generator
from gsc_ros.scene.describe import load_describe, NONE
import numpy as np
from PIL import Image
from stills import numbers, README, stills
from tqdm import tqdm


class Judge:
    """Figures of a decoded picture against its original."""

    def __init__(self, data: Path) -> None:
        self.detector = OnnxDetector(data / 'models' / 'yolov8n_int8.onnx')
        self.vgg, self.dino = VggMetric(), DinoMetric()

    def __call__(self, made: np.ndarray, picture: np.ndarray, wanted: list[SceneObject]
                 ) -> dict[str, float | np.ndarray]:
        """Work out all of them; ``wanted`` is what the detector finds in the original."""
        score = agreement(self.detector.detect(made), wanted)
        return {'psnr': psnr(made, picture), 'vgg': self.vgg(made, picture),
                'dino': self.dino(made, picture), 'matched': score.matched,
                'found': score.found, 'wanted': score.wanted,
                'summary': self.dino.summary(made, picture),
                'source': self.dino.summary(picture, picture)}


def line(rows: list[dict[str, float | np.ndarray]]) -> str:
    """Write the end of a row of the table."""
    mean = {key: np.mean([row[key] for row in rows]) for key in ('psnr', 'vgg', 'dino')}
    right, found, wanted = (sum(cast(int, row[key]) for row in rows)
                            for key in ('matched', 'found', 'wanted'))
    kid = kernel_distance(*(np.stack([cast(np.ndarray, row[key]) for row in rows])
                            for key in ('summary', 'source')))
    return (f'{mean["vgg"]:.3f} | {mean["psnr"]:.2f} | {mean["dino"]:.3f} | {kid:.3f} '
            f'| {Agreement(right, found, wanted).f1:.3f} | {right:g} | {found:g} | {wanted:g} |')


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('priors', nargs='+', help='NAME=FILE')
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--bpp', type=numbers, default=[0.005, 0.01, 0.02])
    parser.add_argument('--no-text', action='store_true', help='packets without words and boxes')
    parser.add_argument('--first', type=int, default=README,
                        help='pictures of each set to pass over')
    parser.add_argument('--count', type=int, default=12, help='pictures of each set to take')
    given = parser.parse_args()
    generators = {name: embedded_generator(file=Path(file))
                  for name, file in (p.split('=', 1) for p in given.priors)}
    describe = load_describe(*((NONE, NONE) if given.no_text else ()))
    encoder, decoder, judge = SemanticEncoder(), SemanticDecoder(), Judge(given.data)
    files = stills(given.data, given.count, given.first)
    rows = defaultdict(list)
    for file in tqdm(files, unit='pic', mininterval=10):
        picture = np.asarray(Image.open(file).convert('RGB'))
        caption, objects = describe(picture)
        wanted = judge.detector.detect(picture)
        for bpp in given.bpp:
            limit = int(bpp * picture[..., 0].size / 8)
            sent = decoder.decode(encoder.encode(picture, limit, caption=caption, objects=objects),
                                  generate=False)
            rows[bpp, 'plain'].append(judge(sent.plain, picture, wanted))
            for name, generator in generators.items():
                made = generator.regenerate(
                    sent.plain, bpp=8 * len(sent.packet.latent) / picture[..., 0].size,
                    coder=sent.packet.coder, caption=sent.caption, objects=sent.objects, seed=0)
                rows[bpp, name].append(judge(made, picture, wanted))
    print('| bpp | prior | VGG distance | PSNR, dB | DINO | KID | F1 | right | found | wanted |\n'
          + '| --- ' * 10 + '|')
    for (bpp, name), judged in sorted(rows.items()):
        print(f'| {bpp:g} | {name} | {line(judged)}')


if __name__ == '__main__':
    main()
