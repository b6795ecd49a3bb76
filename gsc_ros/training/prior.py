"""Stage 3: the embedded flow prior, on latents and on pixels of its one-step estimate."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.captioner import Captioner
from gsc_ros.models.prior import Condition, EmbeddedPrior, PriorConfig
from gsc_ros.models.sampling import draw_noise, integrate, schedule
from gsc_ros.models.vgg import VggDistance
from gsc_ros.training.data import PictureSet, random_window
from gsc_ros.training.loop import moved
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
    """Objects of every picture and the way to a caption where the manifest has none."""

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


class PriorStage:
    """Squared error of the clean latent, plus L1 and VGG distance of the decoded estimate."""

    model: nn.Module

    def __init__(self, autoencoder: Autoencoder, train: PictureSet, texts: Texts,
                 held_out: PictureSet, held_out_texts: Texts, degrade: Degrade, *, batch: int,
                 crop: int = 160, vgg_crop: int = 64, latent_weight: float = 0.3,
                 pixel_weight: float = 1.0, vgg_weight: float = 0.3,
                 one_step_share: float = 0.6) -> None:
        self.degrade = degrade
        prior = EmbeddedPrior(PriorConfig(autoencoder.config))
        prior.autoencoder.load_state_dict(autoencoder.state_dict())
        prior.autoencoder.encoder.requires_grad_(False)
        self.model = prior
        self.vgg = VggDistance()
        self.train, self.texts = train, texts
        self.weights = train.sampling_weights()
        self.size, self.crop, self.vgg_crop = batch, crop, vgg_crop
        self.latent_weight, self.pixel_weight = latent_weight, pixel_weight
        self.vgg_weight, self.one_step_share = vgg_weight, one_step_share
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
        """Move the judge and the held-out crops."""
        self.vgg.to(device)
        self.held_out = moved(self.held_out, device)

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Crops, their plain decodes, texts, times and a corner of the VGG window."""
        chosen = rng.choice(len(self.train), self.size, p=self.weights)
        batch = self._collate(
            [self._sample(self.train, self.texts, i, self.crop, rng) for i in chosen])
        t = np.where(rng.random(self.size) < self.one_step_share, 1.0, rng.random(self.size))
        batch['t'] = torch.from_numpy(t.astype(np.float32))
        batch['corner'] = rng.integers(self.crop - self.vgg_crop + 1, size=2)
        return batch

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Error of the one-step estimate from a random time on the straight path."""
        assert isinstance(model, EmbeddedPrior)
        (latent, condition), t = self._encoded(model, batch), batch['t']
        start = model.start(torch.randn_like(latent), condition)
        x = torch.lerp(latent, start, t[:, None, None, None])
        clean = model.clean(x, t, condition)
        out = model.to_picture(clean)
        window = window_at(batch['corner'], self.vgg_crop)
        latent_error = (clean - latent).square().mean()
        pixel = (out - batch['rgb']).abs().mean()
        vgg = self.vgg(out[window], batch['rgb'][window]).mean()
        loss = (self.latent_weight * latent_error + self.pixel_weight * pixel
                + self.vgg_weight * vgg)
        return loss, {'latent': latent_error.item(), 'l1': pixel.item(), 'vgg': vgg.item()}

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """PSNR and VGG distance of the plain picture and after 1 and 4 steps."""
        assert isinstance(model, EmbeddedPrior)
        rgb = self.held_out['rgb']
        latent, condition = self._encoded(model, self.held_out)
        start = model.start(draw_noise(tuple(latent.shape), 0).to(latent.device), condition)
        outs = {'plain': self.held_out['plain']}
        for steps in (1, 4):
            latent = integrate(model, start, condition, schedule(steps))
            outs[f'steps{steps}'] = torch.cat(
                [model.to_picture(z) for z in latent.split(8)])
        scores = {}
        for name, out in outs.items():
            scores[f'psnr_{name}'] = float(psnr(out, rgb).mean())
            scores[f'vgg_{name}'] = float(torch.cat([self.vgg(a, b) for a, b in zip(
                out.split(8), rgb.split(8), strict=True)]).mean())
        write_sheet([rgb[:8], *(out[:8] for out in outs.values())], sheet)
        return scores
