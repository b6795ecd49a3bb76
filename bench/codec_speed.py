"""
Encode and decode times at 640x480 as ratios to peers timed in the same run.

    python bench/codec_speed.py [--rounds 15] [--threads 2] [--bpp 0.01] [--device cpu]
        [--alone]

Peers: compressai's bmshj2018-hyperprior (weights do not change its time) and AVIF through Pillow.
Contenders take turns, one call each a round, so that a busy machine slows all alike; medians.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
import io
from pathlib import Path
from statistics import median
import time

from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.models import torchvision_shim
from gsc_ros.runtime.tuning import keep_freed_memory
import numpy as np
from PIL import Image
import torch
from tqdm import tqdm

WIDTH, HEIGHT = 640, 480
Contender = Callable[[], object]


def picture() -> np.ndarray:
    """Return a street photo that the ultralytics package brings, (480, 640, 3) uint8."""
    import ultralytics
    file = Path(ultralytics.__file__).parent / 'assets' / 'bus.jpg'
    photo = Image.open(file).convert('RGB')
    box = (0, 250, photo.width, 250 + photo.width * HEIGHT // WIDTH)
    return np.array(photo.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box))


def ours(photo: np.ndarray, bpp: float, device: str) -> dict[str, Contender]:
    """Encode, decode without generation and with one step."""
    encoder, decoder = SemanticEncoder('auto', device), SemanticDecoder(device)
    max_bytes = int(bpp * WIDTH * HEIGHT / 8)
    packet = encoder.encode(photo, max_bytes)
    return {'gsc encode': lambda: encoder.encode(photo, max_bytes),
            'gsc plain decode': lambda: decoder.decode(packet, generate=False),
            'gsc one-step decode': lambda: decoder.decode(packet, generate=True, steps=1)}


def hyperprior(photo: np.ndarray, device: str) -> dict[str, Contender]:
    """Make the scale hyperprior of compressai with untrained weights."""
    torchvision_shim.import_torchvision()
    from compressai.zoo import bmshj2018_hyperprior
    model = bmshj2018_hyperprior(quality=1, pretrained=False).eval().to(device)
    model.update()
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None].float().div(255).to(device)
    padded = torch.nn.functional.pad(rgb, (0, -WIDTH % 64, 0, -HEIGHT % 64))
    with torch.inference_mode():
        coded = model.compress(padded)

    def run(call: Callable[..., object], *arguments: object) -> object:
        with torch.inference_mode():
            return call(*arguments)
    return {'hyperprior encode': lambda: run(model.compress, padded),
            'hyperprior decode': lambda: run(model.decompress, coded['strings'], coded['shape'])}


def avif(photo: np.ndarray) -> dict[str, Contender]:
    """Code with libavif through Pillow, half size, speed 6."""
    half = Image.fromarray(photo).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS)

    def encode() -> bytes:
        out = io.BytesIO()
        half.save(out, 'AVIF', quality=20, speed=6)
        return out.getvalue()
    coded = encode()
    return {'avif encode': encode,
            'avif decode': lambda: Image.open(io.BytesIO(coded)).resize((WIDTH, HEIGHT))}


def seconds(contenders: dict[str, Contender], rounds: int, device: str, alone: bool
            ) -> dict[str, float]:
    """Median seconds of each contender over the rounds, after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    turns = [(i, name) for i in range(rounds + 1) for name in contenders]
    for i, name in tqdm(sorted(turns, key=lambda turn: turn[1]) if alone else turns):
        start = time.perf_counter()
        contenders[name]()
        if device != 'cpu':
            torch.cuda.synchronize()
        if i:
            taken[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in taken.items()}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--bpp', type=float, default=0.01)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--alone', action='store_true',
                        help='all rounds of a contender in a row, so that its memory stays warm')
    given = parser.parse_args()
    keep_freed_memory()     # for the peers, too
    torch.set_num_threads(given.threads)
    photo = picture()
    times = seconds({**ours(photo, given.bpp, given.device), **hyperprior(photo, given.device),
                     **avif(photo)}, given.rounds, given.device, given.alone)
    print(f'| {WIDTH}x{HEIGHT}, {given.bpp} bpp, {given.threads} threads, {given.device} '
          '| ms | of hyperprior | of AVIF |\n| --- | --- | --- | --- |')
    for name, value in times.items():
        direction = 'encode' if 'encode' in name else 'decode'
        ratios = [value / times[f'{peer} {direction}'] for peer in ('hyperprior', 'avif')]
        print(f'| {name} | {1e3 * value:.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |')


if __name__ == '__main__':
    main()
