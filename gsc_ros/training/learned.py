"""Stage 2: the learned coder, first on latents, then on pixels through the decoder."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.learned import LearnedConfig, LearnedTransform
from gsc_ros.models.vgg import VggDistance
from gsc_ros.training.data import PictureSet, random_crop
from gsc_ros.training.pictures import centre_crops, psnr, to_batch, window_at, write_sheet
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F


def learned_config(autoencoder: Autoencoder) -> LearnedConfig:
    """Sizes of the learned coder that is trained in the latent space of ``autoencoder``."""
    return LearnedConfig(latent_channels=autoencoder.config.latent_channels)


def trade_off(level: Tensor) -> Tensor:
    """Lambda of each quality level 0..15: 0.1 to 8, geometric; about 0.003 to 0.05 bpp."""
    return 0.1 * 80 ** (level.float() / 15)


class LearnedStage:
    """
    Rate + lambda * distortion with a level drawn per picture, lambda fixed per level.

    :param latent_steps: steps before pixels count.
    :param pixel_crop: side of the window that is decoded to pixels, a multiple of 8; the rate and
        the latents are judged on all of the crop.
    :param vgg_crop: side of the window in it that VGG sees.
    """

    critic: None = None

    def __init__(self, autoencoder: Autoencoder, train: PictureSet, held_out: PictureSet, *,
                 batch: int, crop: int = 192, latent_steps: int = 1500, vgg_weight: float = 0.03,
                 latent_weight: float = 0.4, pixel_crop: int = 96, vgg_crop: int = 64) -> None:
        self.autoencoder = autoencoder
        self.config = learned_config(autoencoder)
        self.model: nn.Module = LearnedTransform(self.config)
        self.vgg = VggDistance()
        self.pictures, self.weights = train.pictures, train.sampling_weights()
        self.size, self.crop, self.latent_steps = batch, crop, latent_steps
        self.vgg_weight, self.latent_weight = vgg_weight, latent_weight
        self.pixel_crop, self.vgg_crop = pixel_crop, vgg_crop
        self.held_out = to_batch(centre_crops(held_out)[:16])

    def to(self, device: torch.device) -> None:
        """Move the autoencoder, the judge and the held-out crops."""
        self.autoencoder.to(device)
        self.vgg.to(device)
        self.held_out = self.held_out.to(device)

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        """Random crops, a level each, corners of the pixels' window [cells] and VGG's in it."""
        chosen = rng.choice(len(self.pictures), self.size, p=self.weights)
        crops = [random_crop(self.pictures[i], self.crop, rng) for i in chosen]
        level = torch.from_numpy(rng.integers(self.config.levels, size=self.size)).float()
        cells = (self.crop - self.pixel_crop) // Autoencoder.factor
        return {'rgb': to_batch(crops), 'level': level,
                'cell': rng.integers(cells + 1, size=2),
                'corner': rng.integers(self.pixel_crop - self.vgg_crop + 1, size=2)}

    def loss(self, model: nn.Module, batch: dict[str, Any], step: int
             ) -> tuple[Tensor, dict[str, float]]:
        """Bits per pixel plus lambda times the distortion of the stage."""
        assert isinstance(model, LearnedTransform)
        rgb, level = batch['rgb'], batch['level']
        with torch.no_grad():
            latent = self.autoencoder.encode(rgb)
        scaled, symbols = model.quantise(latent, level)
        bpp = model.bits(scaled, symbols, level) / rgb[0, 0].numel()
        decoded = model.synthesise(symbols, level)
        latent_error = (decoded - latent).square().mean((1, 2, 3))
        figures = {'bpp': bpp.mean().item(), 'latent': latent_error.mean().item()}
        distortion = self.latent_weight * latent_error
        if step >= self.latent_steps:
            pixel, vgg = self._in_pixels(decoded, batch)
            distortion = 0.2 * distortion + pixel + self.vgg_weight * vgg
            figures |= {'mse': pixel.mean().item(), 'vgg': vgg.mean().item()}
        return (bpp + trade_off(level) * distortion).mean() * 10, figures

    def _in_pixels(self, latent: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Squared error and VGG distance (B,) of decoded latents in the batch's windows."""
        cell, side = batch['cell'], self.pixel_crop // Autoencoder.factor
        out = self.autoencoder.decode(latent[window_at(cell, side)])
        rgb = batch['rgb'][window_at(cell * Autoencoder.factor, self.pixel_crop)]
        window = window_at(batch['corner'], self.vgg_crop)
        return F.mse_loss(out, rgb, reduction='none').mean((1, 2, 3)), self.vgg(
            out[window], rgb[window])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Estimated bpp, PSNR and VGG distance at levels 0, 5, 10 and 15."""
        assert isinstance(model, LearnedTransform)
        model.eval()
        latent = self.autoencoder.encode(self.held_out)
        scores: dict[str, float] = {}
        rows = [self.held_out[:8]]
        for q in (0, 5, 10, 15):
            level = torch.full((len(latent),), float(q), device=latent.device)
            _, symbols = model.quantise(latent, level)
            out = self.autoencoder.decode(model.synthesise(symbols, level))
            bpp = model.bits(symbols, symbols, level) / self.held_out[0, 0].numel()
            scores |= {f'bpp{q}': float(bpp.mean()),
                       f'psnr{q}': float(psnr(out, self.held_out).mean()),
                       f'vgg{q}': float(torch.cat([self.vgg(a, b) for a, b in zip(
                           out.split(8), self.held_out.split(8), strict=True)]).mean())}
            rows.append(out[:8])
        write_sheet(rows, sheet)
        model.train()
        return scores
