"""
What the shipped autoencoder keeps: round trips without quantisation, stills of 512 pixels.

    python bench/autoencoder.py --data ../shared/data [--count 12]

F1 is of YOLOv8n's detections on the round trip against those on the picture that went in.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from gsc_ros.evaluation.judges.matching import Agreement, agreement
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
from gsc_ros.evaluation.judges.vgg import VggMetric
from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.frames import crop_to_picture, pad_to_tensor
from gsc_ros.prior.generator import load_autoencoder
import numpy as np
from PIL import Image
from stills import README, SETS, stills
import torch
from tqdm import tqdm

SIDE = 512      # longer side; smaller pictures stay as they are


@torch.no_grad()
def round_trip(autoencoder: Autoencoder, picture: np.ndarray) -> np.ndarray:
    """Encode and decode a picture (H, W, 3) uint8."""
    latent = autoencoder.encode(pad_to_tensor(picture, autoencoder.factor))
    return crop_to_picture(autoencoder.decode(latent), picture.shape[1], picture.shape[0])


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--count', type=int, default=README, help='pictures of each set')
    given = parser.parse_args()
    detector = OnnxDetector(given.data / 'models' / 'yolov8n_int8.onnx')
    vgg, autoencoder = VggMetric(), load_autoencoder()
    print('| set | PSNR, dB | VGG distance | F1 | objects |\n' + '| --- ' * 5 + '|')
    everything = []
    for name in ('bsds500_test', *SETS):
        rows = []
        files = stills(given.data, given.count, sets=[name])
        for file in tqdm(files, desc=name, unit='pic', leave=False):
            source = Image.open(file).convert('RGB')
            source.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            picture = np.asarray(source)
            made = round_trip(autoencoder, picture)
            score = agreement(detector.detect(made), detector.detect(picture))
            rows.append((psnr(made, picture), vgg(made, picture), score.matched,
                         score.found, score.wanted))
        everything += rows
        print(line(name, rows))
    print(line('**all**', everything))


def line(name: str, rows: list[tuple[float, ...]]) -> str:
    """Write a row of the table; F1 is of all objects of the set."""
    decibels, distance, *_ = np.mean(rows, axis=0)
    _, _, matched, found, wanted = np.sum(rows, axis=0)
    f1 = Agreement(matched, found, wanted).f1
    return f'| {name} | {decibels:.2f} | {distance:.3f} | {f1:.2f} | {wanted:g} |'


if __name__ == '__main__':
    main()
