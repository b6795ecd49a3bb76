"""
Trains the embedded YOLO by dense distillation; needs pictures and a teacher, but no labels.

Knowledge distillation after Hinton et al., arXiv 1503.02531, on class scores and on box
distributions (localisation distillation, Zheng et al., arXiv 2102.12252), with block-wise
supervision of the features (Li et al., arXiv 1911.13053): at first every block is fed with the
teacher's features and learns by itself, then blocks are chained at random, and at last the
student stands alone.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass
import json
import math
from pathlib import Path
from typing import Any

from gsc_ros.models.yolo import build_yolo, read_architecture
from gsc_ros.training.data import load_manifest, PictureSet
from gsc_ros.training.detector.pictures import degrade, draw_canvas
from gsc_ros.training.detector.sampling import picture_weights
from gsc_ros.training.detector.teacher import TAPS, TEACHER, Teacher, TeacherTargets
from gsc_ros.training.loop import train
from gsc_ros.training.schedule import LoopConfig
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional


@dataclass(frozen=True)
class DistillConfig:
    """Settings of the stage; shares are fractions of the whole run."""

    sizes: tuple[int, ...] = (224, 288, 352)
    pixels: int = 3 * 256 ** 2          # per batch, whatever the size
    forced_until: float = 0.35          # every block fed by the teacher before this share
    alone_from: float = 0.55            # no block fed by the teacher after this share
    degraded: float = 0.2               # share of pictures that only the student sees degraded
    box_weight: float = 0.5
    late_feature_weight: float = 0.4
    evaluated: int = 12                 # batches of held-out pictures


class DetectorStage:
    """The loop's stage: canvases, the teacher's targets and the distillation losses."""

    critic: None = None

    def __init__(self, pictures: PictureSet, weights: np.ndarray, held_out: PictureSet,
                 teacher: Teacher, steps: int, config: DistillConfig = DistillConfig()) -> None:
        """
        Build the student.

        :param weights: probability of each picture, (n,).
        :param held_out: pictures to evaluate on.
        """
        self.architecture = read_architecture()
        self.model: nn.Module = build_yolo(self.architecture)
        self._pictures, self._weights, self._held_out = pictures, weights, held_out
        self._teacher, self._steps, self._config = teacher, steps, config

    def to(self, device: torch.device) -> None:
        """Nothing to move: the teacher runs on the CPU, and so does this stage."""

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Canvases of one size drawn at random: clean for the teacher, some degraded."""
        clean = self._draw(self._pictures, self._weights, rng)
        seen = [degrade(c, rng) if rng.random() < self._config.degraded else c for c in clean]
        return {'clean': _to_planes(clean), 'seen': _to_planes(seen)}

    def _draw(self, pictures: PictureSet, weights: np.ndarray, rng: np.random.Generator
              ) -> list[np.ndarray]:
        size = int(rng.choice(self._config.sizes))
        count = max(2, round(self._config.pixels / size ** 2))
        return [draw_canvas(pictures, weights, size, rng) for _ in range(count)]

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Feature, class and box distillation of one batch."""
        targets = self._teacher(batch['clean'])
        progress = step / self._steps
        config = self._config
        share = (config.alone_from - progress) / (config.alone_from - config.forced_until)
        forced = torch.rand(len(TAPS)) < share
        pictures = batch['clean'] if share >= 1 else batch['seen']
        errors, heads = forward_with_targets(model, torch.from_numpy(pictures), targets, forced)
        classes, boxes = head_losses(heads, targets, self.architecture.coco_ids)
        features = torch.stack(list(errors.values()))
        weight = 1.0 if share > 0 else config.late_feature_weight
        loss = weight * features.sum() + classes + config.box_weight * boxes
        return loss, {'features': features.mean().item(), 'p3': errors[15].item(),
                      'p5': errors[21].item(), 'classes': classes.item(), 'boxes': boxes.item()}

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Mean losses of the student alone on the held-out split; a detector has no sheet."""
        weights = np.full(len(self._held_out), 1 / len(self._held_out))
        rows = []
        for seed in range(self._config.evaluated):
            pictures = _to_planes(self._draw(self._held_out, weights, np.random.default_rng(seed)))
            targets = self._teacher(pictures)
            errors, heads = forward_with_targets(model.eval(), torch.from_numpy(pictures),
                                                 targets, torch.zeros(len(TAPS), dtype=torch.bool))
            rows.append(torch.stack([torch.stack(list(errors.values())).mean(),
                                     *head_losses(heads, targets, self.architecture.coco_ids)]))
        return dict(zip(('features', 'classes', 'boxes'), torch.stack(rows).mean(0).tolist(),
                        strict=True))


def _to_planes(canvases: list[np.ndarray]) -> np.ndarray:
    stack = np.stack(canvases).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(stack, np.float32) / np.float32(255)


def forward_with_targets(model: Any, pictures: Tensor, targets: TeacherTargets, forced: Tensor
                         ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
    """
    Run the student; after each tap where ``forced`` holds go on with the teacher's features.

    :returns: the error at each tap (0: same as the teacher, 1: as bad as its mean) and the raw
        outputs of the head, ``boxes`` (B, 64, N) and ``scores`` (B, classes, N).
    """
    x: Any = pictures.contiguous(memory_format=torch.channels_last)
    outputs: list[Any] = []
    errors: dict[int, Tensor] = {}
    swap = dict(zip(TAPS, forced.tolist(), strict=True))
    for layer in model.model:
        if layer.f != -1:
            x = outputs[layer.f] if isinstance(layer.f, int) else [
                x if j == -1 else outputs[j] for j in layer.f]
        x = layer(x)
        if layer.i in swap:
            target = targets.features[layer.i]
            errors[layer.i] = feature_error(x, target)
            x = target if swap[layer.i] else x
        outputs.append(x)
    return errors, x if model.training else x[1]   # evaluating, decoded boxes come first


def feature_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error over the teacher's variance, channel by channel, averaged."""
    variance = teacher.var((0, 2, 3))
    # Channels that hardly ever fire would otherwise outweigh all others.
    scale = variance + 0.1 * variance.mean() + 1e-6
    return ((student - teacher).square().mean((0, 2, 3)) / scale).mean()


def head_losses(heads: dict[str, Tensor], targets: TeacherTargets, coco_ids: tuple[int, ...]
                ) -> tuple[Tensor, Tensor]:
    """Divergence of class scores and of box distributions from the teacher's, per object."""
    wanted = targets.scores[:, list(coco_ids)]
    probability = wanted.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(wanted, probability, reduction='none')
    cross = functional.binary_cross_entropy_with_logits(heads['scores'], probability,
                                                        reduction='none')
    confidence = probability.amax(1)
    classes = (cross - entropy).sum() / confidence.sum().clamp_min(1)
    weight = torch.where(confidence > 0.05, confidence, 0.)
    batch, _, places = targets.boxes.shape
    student, teacher = (b.view(batch, 4, -1, places).log_softmax(2)
                        for b in (heads['boxes'], targets.boxes))
    divergence = (teacher.exp() * (teacher - student)).sum((1, 2))
    return classes, (weight * divergence).sum() / weight.sum().clamp_min(1)


def run(data_root: Path, folder: Path, steps: int, threads: int = 2, seed: int = 0,
        limit: int | None = None, teacher: Path | None = None, limit_s: float = math.inf
        ) -> nn.Module:
    """
    Train, or go on training, the embedded YOLO.

    :param data_root: folder with train.tsv and val.tsv.
    :param folder: checkpoints, log and curves.
    :param limit: read only so many pictures (for tests).
    :param teacher: ONNX file of the YOLO to learn from; None: ``models/yolov8n_int8.onnx`` there.
    :param limit_s: seconds after which it stops with a checkpoint.
    """
    pictures = load_manifest(data_root, 'train.tsv', limit)
    held_out = load_manifest(data_root, 'val.tsv', limit)
    known = Teacher(teacher or data_root / TEACHER, threads)
    config = LoopConfig(steps=steps, lr=2e-3, warmup=200, ema=0.998, seed=seed, threads=threads,
                        evaluate_every=500, clip=10.0, device='cpu')
    weights = picture_weights(pictures, known, read_architecture().coco_ids,
                              folder / 'teacher_scores.npy')
    torch.manual_seed(seed)
    return train(DetectorStage(pictures, weights, held_out, known, steps), config, folder,
                 limit_s=limit_s)


def main(arguments: list[str] | None = None) -> None:
    """Measure the embedded YOLO: mAP and F1 on the validation pictures."""
    from gsc_ros.training.detector.export import measure
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--limit', type=int, help='look at so many pictures only')
    parser.add_argument('--size', type=int, help='longer side that pictures are scaled to')
    given = parser.parse_args(arguments)
    print(json.dumps(measure(given.data, given.limit, given.size), indent=1))


if __name__ == '__main__':
    main()
