"""
How the embedded prior is best run: solver steps and crispness on held-out training pictures.

    python bench/prior_running.py --data ../shared/data [--count 10] [--bpp 0.01,0.03]

HEVC packets of pictures that no stage was trained on, without text. Crispness blends the plain
picture (0) and the made one (1); ``Running`` of ``prior/embedded.py`` is chosen from this table.
"""
from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.judges.vgg import VggMetric
from gsc_ros.prior.embedded import Running
from gsc_ros.prior.generator import Generator, load_prior
from gsc_ros.training.data import load_pictures
from gsc_ros.training.stages import held_out
import numpy as np
from tqdm import tqdm

STEPS = (1, 2, 4)
CRISPNESS = (0.0, 0.4, 0.6, 0.8, 1.0)


def measure(generator: Generator, picture: np.ndarray, bpp: float, vgg: VggMetric
            ) -> dict[tuple[int, float], tuple[float, float]]:
    """VGG distance and PSNR by steps and crispness."""
    height, width = picture.shape[:2]
    coder = HevcCoder()
    coded = coder.encode(picture, int(bpp * width * height / 8))
    plain = coder.decode(coded, width, height)
    rate = 8 * len(coded.data) / (width * height)
    result = {}
    for steps in STEPS:
        made = generator.regenerate(plain, bpp=rate, coder=CoderId.HEVC, caption='', objects=(),
                                    seed=0, steps=steps)
        for crispness in CRISPNESS:
            shown = cv2.addWeighted(plain, 1 - crispness, made, crispness, 0)
            result[steps, crispness] = vgg(shown, picture), psnr(shown, picture)
    return result


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--count', type=int, default=10)
    parser.add_argument('--bpp', default='0.01,0.03')
    given = parser.parse_args()
    rates = [float(rate) for rate in given.bpp.split(',')]
    prior = load_prior()
    prior.running = Running(steps=1, crispness=1.0, consistency=0.0)  # type: ignore[misc]
    generator, vgg = Generator(prior), VggMetric()
    pictures = load_pictures(given.data)
    found = defaultdict(list)
    for index in tqdm(held_out(len(pictures))[:given.count], unit='pic'):
        for rate in rates:
            scores = measure(generator, pictures.pictures[index], rate, vgg)
            for (steps, crispness), pair in scores.items():
                found[steps, crispness, rate].append(pair)
    heads = (f'{rate:g} bpp: VGG, PSNR' for rate in rates)
    print('| steps | crispness | ' + ' | '.join(heads) + ' |')
    print('| --- | --- |' + ' --- |' * len(rates))
    for steps in STEPS:
        for crispness in CRISPNESS:
            cells = (np.mean(found[steps, crispness, rate], axis=0) for rate in rates)
            print(f'| {steps} | {crispness:g} | '
                  + ' | '.join(f'{cell[0]:.3f}, {cell[1]:.2f} dB' for cell in cells) + ' |')


if __name__ == '__main__':
    main()
