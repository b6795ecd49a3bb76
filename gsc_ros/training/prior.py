"""Stage 3: the embedded flow prior, on latents and on pictures of its one-step estimate."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.vgg import feature_distance, VggDistance
from gsc_ros.prior.embedded import Condition, EmbeddedPrior, PriorConfig
from gsc_ros.prior.grid import grid_pattern
from gsc_ros.prior.sampling import draw_noise, integrate
from gsc_ros.scene.captioner import Captioner
from gsc_ros.training.critic import Critic
from gsc_ros.training.data import PictureSet, random_window
from gsc_ros.training.loop import moved
from gsc_ros.training.objects_loss import ObjectLoss
from gsc_ros.training.pictures import psnr, to_batch, window_at, write_sheet
import numpy as np
import torch
from torch import nn, Tensor


@dataclass(frozen=True)
class Degraded:
    """A plain decoded picture (H, W, 3) uint8, its bits per pixel and its coder's id."""

    picture: np.ndarray
    bpp: float
    coder: int


Degrade = Callable[[np.ndarray, np.random.Generator], Degraded]


@dataclass
class Texts:
    """Objects of every picture, and who captions crops where the manifest does not."""

    objects: list[list[SceneObject]]
    captioner: Captioner
    drop_caption: float = 0.3
    drop_objects: float = 0.3

    def draw(self, texts: list[str], objects: list[SceneObject], crop: np.ndarray,
             rng: np.random.Generator) -> tuple[str, list[SceneObject]]:
        """Draw a caption and objects for a crop; leave each out now and then."""
        caption = self.captioner.describe(crop, objects)
        if texts and rng.random() < 0.5:
            caption = texts[rng.integers(len(texts))]
        keep_caption, keep_objects = rng.random(2) >= (self.drop_caption, self.drop_objects)
        return caption if keep_caption else '', objects if keep_objects else []


@dataclass(frozen=True)
class PriorLossWeights:
    """
    What each part of the loss weighs.

    ``objects`` is a detector's opinion, ``critic`` an adversary's, ``grid`` the mean size of the
    pattern that repeats with the network's coarsest cells; 0 leaves a part out.
    """

    latent: float = 0.3
    pixel: float = 1.0
    vgg: float = 0.3
    objects: float = 0.0
    critic: float = 0.0
    grid: float = 0.0


class PriorStage:
    """
    Squared error of the clean latent, plus what judges say of the decoded one-step estimate.

    :param judge: ONNX file of a YOLOX detector; wanted if ``objects`` weighs anything.
    :param one_step_share: of the crops, which start where one step does; the others at any time.
    :param rolled_share: of the others, which lie on the way to the model's own first estimate
        instead of the truth, as they do when several steps are taken.
    :param critic_warmup: steps over which the critic's word comes to count.
    :raises InvalidInputError: if the judge is wanted and none is named, or a weight is of nothing.
    :raises GscError: as ``ObjectLoss``.
    """

    model: nn.Module
    critic: Critic | None = None

    def __init__(self, autoencoder: Autoencoder, train: PictureSet, texts: Texts,
                 held_out: PictureSet, held_out_texts: Texts, degrade: Degrade, *, batch: int,
                 crop: int = 160, vgg_crop: int = 64, weights: dict[str, float] | None = None,
                 one_step_share: float = 0.6, rolled_share: float = 0.5, critic_warmup: int = 200,
                 judge: Path | None = None) -> None:
        self.degrade = degrade
        prior = EmbeddedPrior(PriorConfig(autoencoder.config))
        prior.autoencoder.load_state_dict(autoencoder.state_dict())
        prior.autoencoder.encoder.requires_grad_(False)
        self.model = prior
        self.vgg = VggDistance()
        known = asdict(PriorLossWeights())
        if not set(weights or {}) <= set(known):
            raise InvalidInputError('weights', weights, ', '.join(known))
        self.loss_weights = PriorLossWeights(**(weights or {}))
        if self.loss_weights.critic:
            self.critic = Critic()
        self.objects = _objects_judge(judge) if self.loss_weights.objects else None
        self.train, self.texts = train, texts
        self.weights = train.sampling_weights()
        self.size, self.crop, self.vgg_crop = batch, crop, vgg_crop
        self.one_step_share, self.rolled_share = one_step_share, rolled_share
        self.critic_warmup = critic_warmup
        rng = np.random.default_rng(11)
        self.held_out = self._collate(
            [self._sample(held_out, held_out_texts, i, 256, rng) for i in range(len(held_out))])

    def _sample(self, pictures: PictureSet, texts: Texts, index: int, size: int,
                rng: np.random.Generator) -> tuple[Any, ...]:
        picture = pictures.pictures[index]
        window = random_window(picture.shape[0], picture.shape[1], size, rng)
        crop = window.cut(picture, size)
        objects = window.cut_objects(texts.objects[index], picture.shape[0], picture.shape[1])
        caption, objects = texts.draw(pictures.texts[index], objects, crop, rng)
        plain = self.degrade(crop, rng)
        return crop, plain.picture, plain.bpp, plain.coder, caption, objects

    @staticmethod
    def _collate(samples: list[tuple[Any, ...]]) -> dict[str, Any]:
        crops, plains, bpp, coders, captions, objects = zip(*samples, strict=True)
        rgb, plain = to_batch(list(crops)), to_batch(list(plains))
        grid = rgb.shape[2] // Autoencoder.factor, rgb.shape[3] // Autoencoder.factor
        # the latent follows in ``_encoded``: batches are drawn without the networks
        facts = Condition.build(torch.empty(len(rgb), 0, *grid), bpp, coders, captions, objects)
        return {'rgb': rgb, 'plain': plain, 'facts': facts}

    @staticmethod
    @torch.no_grad()
    def _encoded(model: EmbeddedPrior, batch: dict[str, Any]) -> tuple[Tensor, Condition]:
        """Latent of the source and the condition with that of the plain picture."""
        decoded = model.to_latent(batch['plain'])
        return model.to_latent(batch['rgb']), replace(batch['facts'], latent=decoded)

    def to(self, device: torch.device) -> None:
        """Move the judges and the held-out crops."""
        self.vgg.to(device)
        if self.objects is not None:
            self.objects.to(device)
        self.held_out = moved(self.held_out, device)

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Crops, their plain decodes, texts, times, a corner of the VGG window and a size."""
        chosen = rng.choice(len(self.train), self.size, p=self.weights)
        batch = self._collate(
            [self._sample(self.train, self.texts, i, self.crop, rng) for i in chosen])
        t = np.where(rng.random(self.size) < self.one_step_share, 1.0, rng.random(self.size))
        batch['t'] = torch.from_numpy(t.astype(np.float32))
        batch['rolled'] = torch.from_numpy(rng.random(self.size) < self.rolled_share)
        batch['corner'] = rng.integers(self.crop - self.vgg_crop + 1, size=2)
        batch['scale'] = ObjectLoss.draw_scale(rng)
        return batch

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Error of the one-step estimate from a random time on a straight path."""
        assert isinstance(model, EmbeddedPrior)
        (latent, condition), t = self._encoded(model, batch), batch['t']
        start = model.start(torch.randn_like(latent), condition)
        with torch.no_grad():
            own = model.clean(start, torch.ones_like(t), condition)
        end = torch.where(batch['rolled'][:, None, None, None], own, latent)
        clean = model.clean(torch.lerp(end, start, t[:, None, None, None]), t, condition)
        parts = self._judged(model.to_picture(clean), batch, step)
        parts['latent'] = (clean - latent).square().mean()
        loss = torch.stack([weight * parts[name] for name, weight in asdict(
            self.loss_weights).items() if weight]).sum() + parts.get('critic_own', 0)
        return loss, {name: part.item() for name, part in parts.items()}

    def _judged(self, out: Tensor, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Parts of the loss on pictures (B, 3, H, W) that were made."""
        # the pattern is not part of what is judged, or the feature loss would reward it
        pattern = grid_pattern(out - batch['plain'], EmbeddedPrior.running.grid)
        out, rgb = out - pattern, batch['rgb']
        window = window_at(batch['corner'], self.vgg_crop)
        made = self.vgg.features(out[window])
        with torch.no_grad():
            real = self.vgg.features(rgb[window])
        parts = {'pixel': (out - rgb).abs().mean(), 'grid': pattern.abs().mean(),
                 'vgg': feature_distance(made, real).mean()}
        if self.objects is not None:
            parts['objects'] = self.objects(out, rgb, batch['scale']).mean()
        if self.critic is not None:
            parts['critic_own'], fooled = self.critic.losses(made, real)
            parts['critic'] = fooled * min(1.0, (step + 1) / max(self.critic_warmup, 1))
        return parts

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """PSNR and VGG distance of the plain picture and after 1 and 4 steps."""
        assert isinstance(model, EmbeddedPrior)
        rgb = self.held_out['rgb']
        latent, condition = self._encoded(model, self.held_out)
        start = model.start(draw_noise(tuple(latent.shape), 0).to(latent.device), condition)
        plain = self.held_out['plain']
        outs = {'plain': plain}
        for steps in (1, 4):
            latent = integrate(model, start, condition, model.times(steps, condition))
            made = torch.cat([model.to_picture(z) for z in latent.split(8)])
            outs[f'steps{steps}'] = made - grid_pattern(made - plain, model.running.grid)
        scores = {}
        for name, out in outs.items():
            scores[f'psnr_{name}'] = float(psnr(out, rgb).mean())
            scores[f'vgg_{name}'] = float(torch.cat([self.vgg(a, b) for a, b in zip(
                out.split(8), rgb.split(8), strict=True)]).mean())
        write_sheet([rgb[:8], *(out[:8] for out in outs.values())], sheet)
        return scores


def _objects_judge(file: Path | None) -> ObjectLoss:
    if file is None:
        raise InvalidInputError('detector', None, 'an ONNX file, as objects have a weight')
    return ObjectLoss(file)
