"""
What can be measured of stock priors without their weights: in FLUX.2's latent space, on a CPU.

    python bench/stock_latent.py consistency --data DATA     # correction, step by step
    python bench/stock_latent.py start --data DATA           # coding error in the latent by rate

DATA holds models/taef2_{encoder,decoder}.pth and val/. The velocity is that of Gaussian data with
the mean and deviation of natural latents, known in closed form: a model that knows nothing of the
packet, and so pulls away from it.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
import time
from typing import Any

from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.hevc.coder import decode_reference
from gsc_ros.codec.resample import enlarge
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.models.frames import pad_to_tensor
from gsc_ros.prior.consistency import Constraint, PlanesConstraint
from gsc_ros.prior.correction import descend, pull
from gsc_ros.prior.embedded import PictureFacts, Running
from gsc_ros.prior.sampling import draw_noise, integrate, shifted
import numpy as np
from PIL import Image
from stock_taef2 import Taef2
import torch
from torch import Tensor
from tqdm import tqdm

FOLDERS = ('bsds500_test', 'camvid_seq05vd', 'coco128_train2017', 'flickr8k', 'robot_views')
RATES = (0.005, 0.01, 0.02, 0.04, 0.08)
STRIDE = 16


@dataclass(frozen=True)
class Scene:
    """A source (1, 3, H, W) in -1..1 with its plain decode, and what was sent of it."""

    source: Tensor
    plain: Tensor
    sent: PlanesConstraint


def load_scene(file: Path, bpp: float, encoder: SemanticEncoder, side: int) -> Scene:
    """Crop the middle of a picture, at most ``side`` x ``side``, code and decode it."""
    picture = np.array(Image.open(file).convert('RGB'))
    side = min(side, *picture.shape[:2]) // STRIDE * STRIDE
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    picture = np.ascontiguousarray(picture[top:top + side, left:left + side])
    height, width = picture.shape[:2]
    data = encoder.encode(picture, int(bpp * width * height / 8))
    found = decode_reference(unpack(data), None)
    plain = enlarge(found.planes, width, height)
    return Scene(pad_to_tensor(picture, STRIDE), pad_to_tensor(plain, STRIDE),
                 PlanesConstraint(found.planes, found.qp))


def pictures(data: Path, count: int) -> list[Path]:
    """Find ``count`` pictures of each validation set, evenly spread."""
    chosen = []
    for name in FOLDERS:
        files = sorted((data / 'val' / name).glob('*.jpg'))
        chosen += [files[i * len(files) // count] for i in range(count)]
    return chosen


class GaussianPrior:
    """Flow of latents that are normal around ``mean`` with deviation ``spread`` (broadcast)."""

    stride = STRIDE

    def __init__(self, space: Taef2, mean: Tensor, spread: Tensor | float, start: float,
                 running: Running = Running(4, 1.0, 1.0)) -> None:
        self.space, self.mean, self.spread, self.first = space, mean, spread, start
        self.running = running

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Latents of taef2."""
        return self.space.encode(rgb)

    def to_picture(self, latent: Tensor) -> Tensor:
        """Pictures of taef2."""
        return self.space.decode(latent)

    def condition(self, latent: Tensor, facts: Sequence[PictureFacts]) -> Any:
        """Nothing but the latent."""
        return latent

    def times(self, steps: int, condition: Any) -> Tensor:
        """Even times."""
        return shifted(torch.tensor([self.first]), steps, 1.0)

    def start(self, noise: Tensor, condition: Any) -> Tensor:
        """Mix in the noise."""
        return torch.lerp(condition, noise, self.first)

    def velocity(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """E[noise - clean | x]: linear, as everything is normal."""
        t = t[:, None, None, None]
        variance = torch.as_tensor(self.spread) ** 2
        gain = (1 - t) * variance / ((1 - t) ** 2 * variance + t ** 2)
        clean = self.mean + gain * (x - (1 - t) * self.mean)
        return (x - clean) / t


Method = Callable[[GaussianPrior, Tensor, Sequence[Constraint | None], int, int], Tensor]


def _pull(strength: float) -> Method:
    return lambda prior, z, sent, w, h: pull(prior, z, sent, w, h, strength)


def _descend(steps: int) -> Method:
    return lambda prior, z, sent, w, h: descend(prior, z, sent, w, h, 1.0, steps)


METHODS: dict[str, Method] = {
    'off': lambda prior, z, *_: z,
    'pull, strength 0.5': _pull(0.5), 'pull, strength 1': _pull(1.0),
    'gradient, 1 step': _descend(1), 'gradient, 4 steps': _descend(4)}


def natural(scenes: Sequence[Scene], space: Taef2) -> tuple[Tensor, Tensor]:
    """Deviation and mean of the sources' latents, (1, C, 1, 1) each."""
    latents = torch.cat([space.encode(s.source) for s in scenes])
    return torch.std_mean(latents, (0, 2, 3), keepdim=True)


def follow(scene: Scene, prior: GaussianPrior, method: Method, steps: int
           ) -> tuple[list[float], float, Tensor]:
    """Misfit before and after each correction, seconds a correction, last picture."""
    latent = prior.to_latent(scene.plain)
    height, width = scene.source.shape[2:]
    found, seconds = [], []

    def misfit(clean: Tensor) -> float:
        return float(scene.sent.misfit(prior.to_picture(clean).clamp(-1, 1))) ** 0.5

    def correct(clean: Tensor) -> Tensor:
        found.append(misfit(clean))
        begin = time.perf_counter()
        better = method(prior, clean, [scene.sent], width, height)
        seconds.append(time.perf_counter() - begin)
        found.append(misfit(better))
        return better

    x = prior.start(draw_noise(tuple(latent.shape), 0), latent)
    clean = integrate(prior, x, latent, prior.times(steps, latent), correct)
    return found, float(np.mean(seconds)), prior.to_picture(clean).clamp(-1, 1)


def rms(difference: Tensor) -> float:
    """Root mean square in grey levels."""
    return float(difference.square().mean()) ** 0.5 * 127.5


@torch.no_grad()
def consistency(args: argparse.Namespace, space: Taef2) -> None:
    """Print the misfit after each step for every method."""
    encoder = SemanticEncoder('hevc')
    scenes = [load_scene(f, args.bpp, encoder, args.side) for f in pictures(args.data, args.count)]
    source = np.mean([float(s.sent.misfit(s.source)) ** 0.5 for s in scenes])
    made = np.mean([float(s.sent.misfit(space.decode(space.encode(s.plain)).clamp(-1, 1))) ** 0.5
                    for s in scenes])
    print(f'{len(scenes)} pictures at {args.bpp} bpp; misfit in grey levels a sample; of the '
          f'sources {source:.2f}, of the plain pictures through the autoencoder {made:.2f}\n')
    heads = ' | '.join(f'step {i + 1}, before | after' for i in range(args.steps))
    print(f'| method | {heads} | at the end, in pixels | kept | rms from source | '
          's a correction |\n|' + ' --- |' * (2 * args.steps + 5))
    deviation, mean = natural(scenes, space)
    prior = GaussianPrior(space, mean, deviation, args.t0)
    for name, method in METHODS.items():
        rows = []
        for scene in tqdm(scenes, desc=name, leave=False):
            found, seconds, picture = follow(scene, prior, method, args.steps)
            last = scene.sent.pull(picture).clamp(-1, 1) if name != 'off' else picture
            rows.append([*found, float(scene.sent.misfit(last)) ** 0.5, scene.sent.kept(last),
                         rms(last - scene.source), seconds])
        *misfits, kept, distance, seconds = np.mean(rows, 0)
        print(f'| {name} | ' + ' | '.join(f'{v:.2f}' for v in misfits)
              + f' | {kept:.4f} | {distance:.2f} | {seconds:.2f} |', flush=True)


@torch.no_grad()
def start(args: argparse.Namespace, space: Taef2) -> None:
    """Print the error of the plain picture's latent in deviations of natural latents, by rate."""
    encoder, files = SemanticEncoder('hevc'), pictures(args.data, args.count)
    print('| bpp | error / deviation | t0 = e / (1 + e) |\n| --- | --- | --- |')
    for bpp in RATES:
        errors = []
        for file in tqdm(files, desc=str(bpp), leave=False):
            scene = load_scene(file, bpp, encoder, args.side)
            latent = space.encode(scene.source)
            error = (space.encode(scene.plain) - latent).square().mean((0, 2, 3))
            errors.append((error, latent.var((0, 2, 3))))
        error, power = (torch.stack(part).mean(0) for part in zip(*errors, strict=True))
        relative = float((error / power).mean()) ** 0.5
        print(f'| {bpp} | {relative:.3f} | {relative / (1 + relative):.3f} |', flush=True)


def main() -> None:
    """Run one measurement and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('consistency', 'start'))
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--count', type=int, default=2, help='pictures of each validation set')
    parser.add_argument('--side', type=int, default=192, help='of the crops, multiple of 16')
    parser.add_argument('--bpp', type=float, default=0.01)
    parser.add_argument('--steps', type=int, default=4)
    parser.add_argument('--t0', type=float, default=0.5)
    args = parser.parse_args()
    space = Taef2.load(args.data / 'models')
    {'consistency': consistency, 'start': start}[args.what](args, space)


if __name__ == '__main__':
    main()
