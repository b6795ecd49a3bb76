"""
What coding from acknowledged pictures saves: python bench/temporal.py --data ../shared/data.

Clips at five pictures a second (the drive's stills are 4 s apart), and a still shot of each with
fresh noise in every picture, whose quality is measured against the shot without the noise. Each
picture is acknowledged ``--delay`` pictures later. Whole packets without text; of each sequence
the second half counts, when a still scene has been refined.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
import time

import av
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.hevc.coder import decode_reference
from gsc_ros.codec.references import ReceiverReferences, SenderReferences
from gsc_ros.codec.resample import enlarge
from gsc_ros.encoder import SemanticEncoder
import numpy as np
from PIL import Image

RATE = 5.0
NOISE = 3.0     # standard deviation of the still shots' noise, in levels
STEP = 2 ** 0.25    # between the ceilings that equal quality is looked for among
RUNGS = 10          # most of them
ENCODER = SemanticEncoder('hevc')


def clip(path: Path, start: int) -> Iterator[np.ndarray]:
    """Pictures of a clip from frame ``start`` on, ``RATE`` a second."""
    with av.open(str(path)) as container:
        step = float(container.streams.video[0].average_rate or RATE) / RATE
        wanted = float(start)
        for number, frame in enumerate(container.decode(video=0)):
            if number >= wanted:
                wanted += step
                yield frame.to_ndarray(format='rgb24')


def drive(folder: Path) -> Iterator[np.ndarray]:
    """Pictures of the drive, in order."""
    for path in sorted(folder.glob('*.jpg')):
        yield np.asarray(Image.open(path).convert('RGB'))


def noisy(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """Return one picture ``count`` times, each time with other noise."""
    rng = np.random.default_rng(0)
    shots = (picture + rng.normal(0, NOISE, picture.shape) for _ in range(count))
    return [np.clip(np.rint(shot), 0, 255).astype(np.uint8) for shot in shots]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(10 * np.log10(255 ** 2 / np.square(first.astype(float) - second).mean()))


class Run:
    """Mean bytes, PSNR and milliseconds of processor time of a sequence's second half."""

    def __init__(self, pictures: list[np.ndarray], truth: list[np.ndarray], max_bytes: int,
                 delay: int | None = None) -> None:
        sender, receiver = SenderReferences() if delay else None, ReceiverReferences()
        rows = []
        for number, picture in enumerate(pictures):
            if sender and delay and number >= delay:
                sender.acknowledge(number - delay)
            began = time.process_time()
            data = ENCODER.encode(picture, max_bytes, sequence=number, references=sender)
            coded = time.process_time()
            planes = decode_reference(unpack(data), receiver).planes
            decoded = time.process_time()
            plain = enlarge(planes, picture.shape[1], picture.shape[0])
            rows.append((len(data), psnr(plain, truth[number]), 1000 * (coded - began),
                         1000 * (decoded - coded), unpack(data).reference is None))
        means = np.mean(rows[len(rows) // 2:], axis=0)
        self.bytes, self.psnr, self._encode, self._decode, self._alone = map(float, means)

    def __str__(self) -> str:
        """Return a line of a table."""
        return (f'{self.bytes:.0f} bytes, {self.psnr:.2f} dB, encode {self._encode:.0f} ms, '
                f'decode {self._decode:.0f} ms, {self._alone:.0%} alone')


def equal_quality(pictures: list[np.ndarray], truth: list[np.ndarray], first: Run,
                  wanted: float) -> float:
    """Bytes that pictures on their own take for this PSNR, between two ceilings of a ladder."""
    below, ceiling = first, first.bytes
    sign = 1 if wanted > first.psnr else -1
    for _ in range(RUNGS):
        ceiling *= STEP ** sign
        run = Run(pictures, truth, round(ceiling))
        if (run.psnr - wanted) * sign >= 0:
            share = (wanted - below.psnr) / (run.psnr - below.psnr)
            return float(below.bytes * (run.bytes / below.bytes) ** share)
        below = run
    return float('nan')


def main() -> None:
    """Print three lines for each sequence and ceiling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--count', type=int, default=12)
    parser.add_argument('--delay', type=int, default=2)
    parser.add_argument('--max-bytes', type=int, nargs='+', default=[200, 500])
    args = parser.parse_args()
    clips = args.data / 'val' / 'clips'
    sources = {'car': clip(clips / 'car-detection.mp4', 150),
               'bottle': clip(clips / 'bottle-detection.mp4', 150),
               'drive': drive(args.data / 'val' / 'camvid_seq05vd')}
    for name, source in sources.items():
        moving = list(islice(source, args.count))
        still = [moving[0]] * args.count
        for kind, pictures, truth in (('moving', moving, moving),
                                      ('still', noisy(moving[0], args.count), still)):
            for max_bytes in args.max_bytes:
                alone = Run(pictures, truth, max_bytes)
                chain = Run(pictures, truth, max_bytes, args.delay)
                as_good = equal_quality(pictures, truth, alone, chain.psnr)
                print(f'{name}, {kind}, {max_bytes} bytes\n  alone {alone}\n  chain {chain}\n'
                      f'  alone, as good: {as_good:.0f} bytes', flush=True)


if __name__ == '__main__':
    main()
