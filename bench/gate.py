"""
Whether new generator weights may replace the shipped ones, by all judges on the same packets.

    python bench/gate.py --data ../shared/data shipped=prior:gsc_ros/assets/prior.safetensors
        mean=mean:runs/mean/checkpoint.pt [both=mean:FILE+prior:FILE@0.5] [--count 6] [--peers]

The first candidate is what the others are compared with. Everybody gets the same latents, without
text and boxes, whose bytes are the rate. Latents and figures are kept under --work, by the digest
of the weights, so that another run only makes what is new.
"""
from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
import json
from pathlib import Path

from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.hevc.alone import coded_size, Trials
from gsc_ros.codec.hevc.streams import decode_planes
from gsc_ros.codec.resample import enlarge, Planes
from gsc_ros.evaluation.gate import compare, passes, played_to, table, Verdict
from gsc_ros.evaluation.judges.controls import grainy, nearest
from gsc_ros.evaluation.judges.kind import Measure
from gsc_ros.evaluation.judges.matching import agreement
from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
from gsc_ros.evaluation.judges.registry import KINDS
from gsc_ros.models.mean import MeanPredictor
from gsc_ros.prior.generator import embedded_generator
from gsc_ros.prior.mean import load_mean, MeanGenerator
from gsc_ros.training.checkpoints import read_checkpoint
import numpy as np
from PIL import Image
from stills import numbers, README, stills
from tqdm import tqdm

JUDGES = ('psnr', 'ms_ssim', 'ssimulacra2', 'dino', 'dino_whole', 'vgg', 'grain', 'grain_excess',
          'grain_pattern')
DETECTORS = {'yolov8n': 'yolov8n_int8.onnx', 'yolox': 'yolox_nano.onnx'}
TRAINED_ON = ('vgg', 'dino', 'dino_whole', 'yolox')     # one candidate or another
CONTROLS = ('nearest', 'grainy')
PEERS = ('x265-payload', 'avif-payload')


class Sent:
    """What a base station has of one still: planes, plain picture and the latent's bytes."""

    def __init__(self, picture: np.ndarray, bpp: float, kept: Path) -> None:
        self.height, self.width = picture.shape[:2]
        self.max_bytes = int(bpp * self.height * self.width / 8)
        if kept.is_file():
            data = kept.read_bytes()
            quality, latent = data[0], data[1:]
        else:
            coded = Trials(picture, self.max_bytes).best()
            quality, latent = coded.quality, coded.data
            kept.write_bytes(bytes([quality]) + latent)
        self.bytes = len(latent)
        self.bpp = 8 * self.bytes / (self.height * self.width)
        self.planes: Planes = decode_planes(latent, *coded_size(self.width, self.height, quality))
        self.plain = enlarge(self.planes, self.width, self.height)


class Weights:
    """
    A candidate ``mean:FILE``, ``prior:FILE`` or ``mean:FILE+prior:FILE``.

    ``@0.5`` behind it is the share of what the prior makes, of whatever it begins with.
    """

    def __init__(self, text: str) -> None:
        text, _, crispness = text.partition('@')
        files = dict(part.split(':', 1) for part in text.split('+'))
        self.digest = sha256(b''.join(Path(f).read_bytes() for f in files.values())).hexdigest()[
            :12] + ''.join(sorted(files)) + crispness
        self._crispness = float(crispness) if crispness else None
        self._files = files
        self._mean: MeanGenerator | None = None
        self._prior = embedded_generator(file=Path(files['prior'])) if 'prior' in files else None

    def __call__(self, sent: Sent) -> np.ndarray:
        """Make the picture."""
        plain = sent.plain
        if 'mean' in self._files:
            self._mean = self._mean or MeanGenerator(_mean(Path(self._files['mean'])))
            plain = self._mean.restore(sent.planes, sent.width, sent.height, sent.bytes)
        if self._prior is None:
            return plain
        return self._prior.regenerate(plain, bpp=sent.bpp, coder=CoderId.HEVC, caption='',
                                      objects=(), seed=0, crispness=self._crispness)


def _mean(file: Path) -> MeanPredictor:
    """Load exported weights, or the average of a run's checkpoint."""
    if file.suffix != '.pt':
        return load_mean(file)
    model = MeanPredictor()
    model.load_state_dict(read_checkpoint(file, model)['average'])
    return model.eval().requires_grad_(False)


class Judges:
    """All measures and both detectors."""

    def __init__(self, data: Path, names: Sequence[str], threads: int) -> None:
        self.measures: dict[str, Measure] = {
            name: KINDS[name].load('cpu', threads) for name in names}
        self.detectors = {name: OnnxDetector(data / 'models' / file, threads=threads)
                          for name, file in DETECTORS.items()}

    def lack(self, known: dict[str, float]) -> bool:
        """Tell whether there is something left to judge."""
        return not set(self.measures) <= set(known)

    def __call__(self, made: np.ndarray, picture: np.ndarray, known: dict[str, float]
                 ) -> dict[str, float]:
        """Add what is not known of a made picture: figures, objects against the original's."""
        figures = known | {name: float(measure(made, picture))
                           for name, measure in self.measures.items() if name not in known}
        if any(f'{name}:found' in known for name in self.detectors):
            return figures
        for name, detector in self.detectors.items():
            score = agreement(detector.detect(made), detector.detect(picture))
            figures |= {f'{name}:matched': score.matched, f'{name}:found': score.found,
                        f'{name}:wanted': score.wanted}
        return figures


class Figures:
    """Figures that were worked out, in memory and in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.is_file() else []
        self.known: dict[str, dict[str, float]] = {}
        for line in lines:
            self.known |= json.loads(line)

    def of(self, key: str) -> dict[str, float]:
        """Those of one picture, empty if there are none."""
        return self.known.get(key, {})

    def keep(self, key: str, figures: dict[str, float]) -> None:
        """Add some."""
        self.known[key] = figures
        with self._file.open('a') as stream:
            stream.write(json.dumps({key: figures}) + '\n')


def _peer(name: str, picture: np.ndarray, sent: Sent) -> np.ndarray:
    """Code by a peer in as many payload bytes, at the scale that is best by MS-SSIM."""
    from gsc_ros.evaluation.judges.metrics import ms_ssim
    from gsc_ros.evaluation.peers.stills import code_still
    return code_still(name, picture, sent.bytes,
                      distance=lambda a, b: 1 - ms_ssim(a, b)).decoded


def measure(files: list[Path], given: argparse.Namespace, weights: dict[str, Weights]
            ) -> dict[str, dict[tuple[str, float], dict[str, float]]]:
    """Figures by candidate, and by still and rate."""
    judges = Judges(given.data, given.judges, given.threads)
    kept = Figures(given.work / 'figures.jsonl')
    names = {'plain': 'plain', **{name: name for name in CONTROLS},
             **{name: name for name in PEERS if given.peers},
             **{name: maker.digest for name, maker in weights.items()}}
    found: dict[str, dict[tuple[str, float], dict[str, float]]] = defaultdict(dict)
    for file in tqdm(files, unit='pic', mininterval=10):
        picture = np.asarray(Image.open(file).convert('RGB'))
        for bpp in given.bpp:
            stem = f'{file.parent.name}-{file.stem}-{bpp:g}'
            missing = [n for n, mark in names.items() if judges.lack(kept.of(f'{mark}/{stem}'))]
            if missing:
                sent = Sent(picture, bpp, given.work / f'{stem}.latent')
            for name in missing:
                made = _make(name, picture, sent, weights)
                key = f'{names[name]}/{stem}'
                kept.keep(key, judges(made, picture, kept.of(key)))
            for name, mark in names.items():
                found[name][file.stem, bpp] = kept.known[f'{mark}/{stem}']
    return found


def _make(name: str, picture: np.ndarray, sent: Sent, weights: dict[str, Weights]) -> np.ndarray:
    if name in weights:
        return weights[name](sent)
    if name in PEERS:
        return _peer(name, picture, sent)
    if name == 'nearest':
        height, width = sent.planes[0].shape
        return nearest(enlarge(sent.planes, width, height), sent.width, sent.height)
    return grainy(sent.plain) if name == 'grainy' else sent.plain


def report(found: dict[str, dict[tuple[str, float], dict[str, float]]], rates: list[float],
           weights: dict[str, Weights]) -> None:
    """Print means by rate, then each candidate against the first."""
    judges = [name for name in JUDGES if all(name in row for row in found['plain'].values())]
    print('| bpp | candidate | ' + ' | '.join((*judges, *(f'F1 {d}' for d in DETECTORS))) + ' |')
    print('| --- ' * (2 + len(judges) + len(DETECTORS)) + '|')
    for bpp in rates:
        for name, rows in found.items():
            at = [row for (_, rate), row in rows.items() if rate == bpp]
            means = [f'{np.nanmean([row[judge] for row in at]):.3f}' for judge in judges]
            means += [f'{_f1(at, detector):.3f}' for detector in DETECTORS]
            print(f'| {bpp:g} | {name} | ' + ' | '.join(means) + ' |')

    def against(old: str, new: str) -> list[Verdict]:
        keys = list(found[old])
        return compare([found[old][k] for k in keys], [found[new][k] for k in keys],
                       [k[0] for k in keys], list(DETECTORS), TRAINED_ON)
    doubtful = played_to([against('plain', control) for control in CONTROLS])
    first, *others = weights
    for name in others:
        verdicts = against(first, name)
        print(f'\n{name} against {first}, all rates: '
              f'{"passes" if passes(verdicts) else "does not pass"}\n')
        print(table(verdicts, doubtful))


def _f1(rows: list[dict[str, float]], detector: str) -> float:
    matched, found, wanted = (sum(row[f'{detector}:{count}'] for row in rows)
                              for count in ('matched', 'found', 'wanted'))
    return 2 * matched / max(found + wanted, 1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', help='NAME=KIND:FILE[+KIND:FILE]')
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--bpp', type=numbers, default=[0.005, 0.01, 0.02, 0.04])
    parser.add_argument('--count', type=int, default=6, help='pictures of each of four sets')
    parser.add_argument('--judges', type=lambda text: text.split(','), default=list(JUDGES),
                        help='the VGG distance takes most of the time (default: all)')
    parser.add_argument('--peers', action='store_true', help='rows of the peers, too')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--work', type=Path, default=Path('runs/gate'))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    weights = {name: Weights(text) for name, text in (w.split('=', 1) for w in given.weights)}
    report(measure(stills(given.data, given.count, README), given, weights), given.bpp, weights)


if __name__ == '__main__':
    main()
