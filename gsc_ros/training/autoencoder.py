"""Stage 1: the f8 autoencoder, trained on pixels and VGG distance."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.vgg import VggDistance
from gsc_ros.training.data import PictureSet, random_crop
from gsc_ros.training.pictures import centre_crops, psnr, to_batch, window_at, write_sheet
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F


class AutoencoderStage:
    """L1 + VGG distance; noise on the latents makes the decoder tolerant of small errors."""

    critic: None = None

    def __init__(self, train: PictureSet, held_out: PictureSet, *, batch: int, crop: int = 128,
                 vgg_weight: float = 0.15, vgg_crop: int = 64, latent_noise: float = 0.05) -> None:
        self.model: nn.Module = Autoencoder()
        self.vgg = VggDistance()
        self.pictures, self.weights = train.pictures, train.sampling_weights()
        self.size, self.crop = batch, crop
        self.vgg_weight, self.vgg_crop, self.latent_noise = vgg_weight, vgg_crop, latent_noise
        self.held_out = to_batch(centre_crops(held_out))

    def to(self, device: torch.device) -> None:
        """Move the judge and the held-out crops."""
        self.vgg.to(device)
        self.held_out = self.held_out.to(device)

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Random crops of weighted random pictures."""
        chosen = rng.choice(len(self.pictures), self.size, p=self.weights)
        crops = [random_crop(self.pictures[i], self.crop, rng) for i in chosen]
        corner = rng.integers(self.crop - self.vgg_crop + 1, size=2)
        return {'rgb': to_batch(crops), 'corner': corner}

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """L1 in pixels plus VGG distance on one sub-crop of every second step."""
        assert isinstance(model, Autoencoder)
        rgb = batch['rgb']
        latent = model.encode(rgb)
        out = model.decode(latent + self.latent_noise * torch.randn_like(latent))
        model.track_statistics(latent.detach(), 0.1 if step < 200 else 0.005)
        loss = F.l1_loss(out, rgb)
        figures = {'l1': loss.item()}
        if step % 2 == 0:
            window = window_at(batch['corner'], self.vgg_crop)
            vgg = self.vgg(out[window], rgb[window]).mean()
            loss = loss + 2 * self.vgg_weight * vgg
            figures['vgg'] = vgg.item()
        return loss, figures

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """PSNR and VGG distance of the round trip on the held-out crops."""
        assert isinstance(model, Autoencoder)
        outs = torch.cat([model.decode(model.encode(b)) for b in self.held_out.split(8)])
        vgg = torch.cat([self.vgg(a, b) for a, b in zip(
            outs.split(8), self.held_out.split(8), strict=True)])
        write_sheet([self.held_out[:8], outs[:8]], sheet)
        return {'psnr': float(psnr(outs, self.held_out).mean()), 'vgg': float(vgg.mean())}
