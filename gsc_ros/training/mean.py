"""The mean predictor M: from a coded picture at its own size to the source."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from math import log2
from pathlib import Path
from typing import Any, Literal

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.hevc.alone import coded_size, typical_quality
from gsc_ros.models.mean import coding_facts, MeanPredictor, to_size
from gsc_ros.models.vgg import VggDistance
from gsc_ros.training import pretrained
from gsc_ros.training.data import PictureSet, random_crop
from gsc_ros.training.degrade import code_small
from gsc_ros.training.dino_loss import DinoLoss
from gsc_ros.training.losses import charbonnier, colour_difference, flat_excess, pattern_excess
from gsc_ros.training.objects_loss import ObjectLoss
from gsc_ros.training.pictures import centre_crops, psnr, to_batch, window_at, write_sheet
import numpy as np
import torch
from torch import nn, Tensor

Start = Literal['realesr', 'nothing']
_RATES = (0.004, 0.06)      # bits per pixel aimed at, log-uniform
_FACTOR_SPREAD = 4          # around the typical factor, either way, in sixteenths of an octave
_QPS = (38, 50)             # around what the coder takes at those rates, finer for refined parts
_EVALUATED = ((0.005, 50), (0.01, 48), (0.02, 46), (0.04, 44))  # bits per pixel, quantiser
_HELD_OUT = 256     # side of the held-out pictures [pixels]
# Sides of the crops by the factor that they are shrunk by: all take about the same time.
_SIDES = ((2.0, 128), (3.0, 160), (float('inf'), 192))


@dataclass(frozen=True)
class MeanLossWeights:
    """Weights of the parts of the loss; a judge whose weight is 0 is not loaded."""

    pixel: float = 1.0
    colour: float = 0.5
    flat: float = 4.0
    pattern: float = 5.0
    vgg: float = 0.1
    dino: float = 0.0
    objects: float = 0.0


class MeanStage:
    """
    Charbonnier's loss, with a little of what sees more than pixels.

    VGG distance sharpens and, alone, leaves bumps, rows of dots and coloured fringes:
    ``flat_excess``, ``pattern_excess`` and ``colour_difference`` speak against them. DINO features
    and a detector speak for what is to be seen.

    :param init: ``realesr``: weights from a registry package; ``nothing``: random ones.
    :param dino_every: the DINO features count, for one picture, at every so manieth step.
    :param judge: detector's file for the weight of objects.
    :raises InvalidInputError: if a weight or start is unknown, or no detector is named.
    :raises GscError: as ``pretrained`` and the judges that have a weight.
    """

    critic: None = None

    def __init__(self, train: PictureSet, held_out: PictureSet, *, batch: int,
                 init: Start = 'realesr', vgg_crop: int = 96, dino_every: int = 2,
                 weights: dict[str, float] | None = None, judge: Path | None = None) -> None:
        self.model: nn.Module = _initial(init)
        self.loss_weights = _loss_weights(weights or {})
        self.vgg = VggDistance()
        self.dino = DinoLoss() if self.loss_weights.dino else None
        self.objects = _objects_judge(judge) if self.loss_weights.objects else None
        self.pictures, self.weights = train.pictures, train.sampling_weights()
        self.size, self.vgg_crop, self.dino_every = batch, vgg_crop, dino_every
        self._plain_scores: dict[str, float] = {}
        self.held_out = [
            _coded([crop], coded_size(_HELD_OUT, _HELD_OUT, round(typical_quality(bpp))), [qp])
            for crop, (bpp, qp) in zip(centre_crops(held_out, _HELD_OUT), cycle(_EVALUATED),
                                       strict=False)]

    def to(self, device: torch.device) -> None:
        """Move the judges and the held-out crops."""
        for judge in (self.vgg, self.dino, self.objects):
            if judge is not None:
                judge.to(device)
        self.held_out = [{name: value.to(device) for name, value in each.items()}
                         for each in self.held_out]

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Crops, all shrunk to one size and each coded with a quantiser of its own."""
        bpp = 2 ** rng.uniform(log2(_RATES[0]), log2(_RATES[1]))
        spread = rng.uniform(-_FACTOR_SPREAD, _FACTOR_SPREAD)
        quality = max(0, round(typical_quality(bpp) + spread))
        side = next(side for most, side in _SIDES if 2 ** (quality / 16) < most)
        chosen = rng.choice(len(self.pictures), self.size, p=self.weights)
        crops = [random_crop(self.pictures[i], side, rng) for i in chosen]
        qps = rng.integers(*_QPS, self.size, endpoint=True)
        batch: dict[str, Any] = dict(_coded(crops, coded_size(side, side, quality), qps.tolist()))
        batch['corner'] = rng.integers(side - self.vgg_crop + 1, size=2)
        batch['scale'] = ObjectLoss.draw_scale(rng)
        return batch

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of the parts on pictures of the source's size."""
        parts = self._judged(_made(model, batch), batch, step)
        weights = asdict(self.loss_weights)
        loss = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return loss, {name: part.item() for name, part in parts.items()}

    def _judged(self, made: Tensor, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Parts of the loss on made pictures (B, 3, H, W) in -1..1."""
        real, window = batch['rgb'], window_at(batch['corner'], self.vgg_crop)
        parts = {'pixel': charbonnier(made, real), 'colour': colour_difference(made, real),
                 'flat': flat_excess(made, real),
                 'pattern': pattern_excess(made, real),
                 'vgg': self.vgg(made[window], real[window]).mean()}
        if self.objects is not None:
            parts['objects'] = self.objects(made, real, batch['scale']).mean()
        if self.dino is not None and step % self.dino_every == 0:
            # one of the batch in place of all: a mean estimated from it
            parts['dino'] = self.dino(made[:1], real[:1]).mean() * self.dino_every
        return parts

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """PSNR, VGG distance and excess grain of the enlarged and of the made picture."""
        made = [_made(model, each) for each in self.held_out]
        plain = [to_size(each['small'], *each['rgb'].shape[2:]) * 2 - 1 for each in self.held_out]
        self._plain_scores = self._plain_scores or self._scores(plain, 'plain')
        rows = ([each['rgb'] for each in self.held_out[:8]], plain[:8], made[:8])
        write_sheet([torch.cat(row) for row in rows], sheet)
        return self._plain_scores | self._scores(made, 'made')

    def _scores(self, outs: Sequence[Tensor], name: str) -> dict[str, float]:
        reals = [each['rgb'] for each in self.held_out]
        figures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            'psnr': psnr, 'vgg': self.vgg, 'flat': lambda a, b: 255 * flat_excess(a, b),
            'pattern': lambda a, b: 255 * pattern_excess(a, b)}
        return {f'{figure}_{name}': float(np.mean([
            float(measure(out, real).mean()) for out, real in zip(outs, reals, strict=True)]))
            for figure, measure in figures.items()}


def _initial(init: str) -> MeanPredictor:
    model = MeanPredictor()
    if init == 'realesr':
        pretrained.fill(model, pretrained.find_weights())
    elif init != 'nothing':
        raise InvalidInputError('init', init, 'realesr, nothing')
    return model


def _loss_weights(weights: dict[str, float]) -> MeanLossWeights:
    known = asdict(MeanLossWeights())
    if not set(weights) <= set(known):
        raise InvalidInputError('weights', weights, ', '.join(known))
    return MeanLossWeights(**weights)


def _objects_judge(file: Path | None) -> ObjectLoss:
    if file is None:
        raise InvalidInputError('detector', None, 'an ONNX file, as objects have a weight')
    return ObjectLoss(file)


def _coded(crops: Sequence[np.ndarray], size: tuple[int, int], qps: Sequence[int]
           ) -> dict[str, Tensor]:
    """Collect sources ``rgb`` in -1..1, what was coded of them (``small``, 0..1) and ``facts``."""
    coded = [code_small(crop, size, qp) for crop, qp in zip(crops, qps, strict=True)]
    facts = [coding_facts(each.bits, size[0] * size[1], crop[..., 0].size)
             for each, crop in zip(coded, crops, strict=True)]
    small = to_batch([each.picture for each in coded]) / 2 + 0.5
    return {'rgb': to_batch(list(crops)), 'small': small, 'facts': torch.tensor(facts)}


def _made(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    """Pictures (B, 3, H, W) in -1..1 of the sources' size."""
    made = model(batch['small'], batch['facts']).float()
    return to_size(made, *batch['rgb'].shape[2:]) * 2 - 1
