"""The f8 autoencoder: pictures to latents of an eighth of the size, and back."""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.models.layers import res_blocks, upsample
import torch
from torch import nn, Tensor


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder; stored in its checkpoint."""

    latent_channels: int = 16
    encoder_widths: tuple[int, int] = (64, 128)
    decoder_widths: tuple[int, int, int] = (160, 80, 32)
    encoder_blocks: tuple[int, int] = (1, 3)
    decoder_blocks: tuple[int, int, int] = (3, 2, 1)


class Autoencoder(nn.Module):
    """
    Convolutional autoencoder without bottleneck noise.

    Latents are whitened by a running mean and deviation, so that every later stage sees
    channels of about zero mean and unit variance.
    """

    factor = 8
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        super().__init__()
        self.config = c = config
        quarter, eighth = c.encoder_widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, quarter, 3, padding=1),
            res_blocks(quarter, c.encoder_blocks[0]),
            nn.Conv2d(quarter, eighth, 4, stride=2, padding=1),
            res_blocks(eighth, c.encoder_blocks[1]),
            nn.Conv2d(eighth, c.latent_channels, 3, padding=1))
        w8, w4, w2 = c.decoder_widths
        self.decoder = nn.Sequential(
            nn.Conv2d(c.latent_channels, w8, 3, padding=1), res_blocks(w8, c.decoder_blocks[0]),
            upsample(w8, w4), res_blocks(w4, c.decoder_blocks[1]),
            upsample(w4, w2), res_blocks(w2, c.decoder_blocks[2]),
            upsample(w2, 3))
        self.register_buffer('latent_mean', torch.zeros(c.latent_channels))
        self.register_buffer('latent_std', torch.ones(c.latent_channels))

    def encode(self, rgb: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1, sides multiples of 8 -> latents (B, C, H/8, W/8)."""
        raw = self.encoder(rgb)
        return (raw - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def decode(self, latent: Tensor) -> Tensor:
        """Latents (B, C, h, w) -> pictures (B, 3, 8h, 8w), about -1..1 (not clipped)."""
        raw = latent * self.latent_std[:, None, None] + self.latent_mean[:, None, None]
        return self.decoder(raw)

    @torch.no_grad()
    def track_statistics(self, latent: Tensor, momentum: float = 0.01) -> None:
        """Move the whitening towards a batch of latents as ``encode`` returned them."""
        std, mean = torch.std_mean(latent.float(), dim=(0, 2, 3))
        # new tensors: the old ones belong to a graph that has yet to run backward
        self.latent_mean = self.latent_mean + momentum * mean * self.latent_std
        self.latent_std = self.latent_std * (1 + momentum * (std - 1))
