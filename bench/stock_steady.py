"""
Flicker of a static scene before a noisy sensor, with and without the last picture's help.

    python bench/stock_steady.py PICTURE... [--noise 3] [--bpp 0.02] [--frames 5] [--prior NAME]

Each frame is coded on its own (the worst case: no temporal coding), decoded and regenerated with
the same seed. Mean absolute change of a pixel between frames, grey levels.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.models.assets import EMBEDDED
from gsc_ros.prior.generator import load_generator
from gsc_ros.prior.steady import LastPicture
import numpy as np
from PIL import Image


def change(pictures: list[np.ndarray]) -> float:
    """Mean absolute change from one picture to the next."""
    pairs = zip(pictures[:-1], pictures[1:], strict=True)
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs]))


def main() -> None:
    """Print one line a picture."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pictures', nargs='+', type=Path)
    parser.add_argument('--noise', type=float, default=3.0)
    parser.add_argument('--bpp', type=float, default=0.02)
    parser.add_argument('--frames', type=int, default=5)
    parser.add_argument('--prior', default=EMBEDDED)
    args = parser.parse_args()
    encoder, decoder = SemanticEncoder('hevc'), SemanticDecoder()
    generator = load_generator(args.prior)
    print('| picture | camera | plain | regenerated, each anew | with the last one | '
          'cells kept |\n| --- | --- | --- | --- | --- | --- |')
    for file in args.pictures:
        scene = np.array(Image.open(file).convert('RGB'))
        rng, last = np.random.default_rng(0), LastPicture()
        frames, plain, cold, warm, kept = [], [], [], [], []
        for _ in range(args.frames):
            noisy = scene + rng.normal(0, args.noise, scene.shape)
            frames.append(noisy.clip(0, 255).astype(np.uint8))
            packet = encoder.encode(frames[-1], int(args.bpp * scene[..., 0].size / 8))
            plain.append(decoder.decode(packet, generate=False).plain)
            given = {'bpp': args.bpp, 'coder': 2, 'caption': '', 'objects': [], 'seed': 1}
            cold.append(generator.regenerate(plain[-1], **given))
            before = last.clean
            warm.append(generator.regenerate(plain[-1], last=last, **given))
            if before is not None and last.clean is not None:
                kept.append(float((before == last.clean).all(1).float().mean()))
        cells = ' | '.join(f'{change(p):.2f}' for p in (frames, plain, cold, warm))
        print(f'| {file.stem} | {cells} | {np.mean(kept):.2f} |', flush=True)


if __name__ == '__main__':
    main()
