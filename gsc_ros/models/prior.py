"""The embedded flow prior: from a decoded latent plus noise to the latent of a real picture."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.layers import ResBlock, upsample
from gsc_ros.models.text import OBJECT_CLASSES, object_map, TextEncoder, word_batch
import torch
from torch import nn, Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Condition:
    """What the generator knows of a picture beside the noisy latent."""

    latent: Tensor      # (B, C, h, w): the plain decoded picture's latent
    rate: Tensor        # (B,): log2 of bits per pixel
    coder: Tensor       # (B,) int64: CoderId
    words: Tensor       # (B, n) int64, 0 for none
    objects: Tensor     # (B, 81, h, w)

    @classmethod
    def build(cls, latent: Tensor, bpp: Sequence[float], coder: Sequence[int],
              captions: Sequence[str], objects: Sequence[Sequence[SceneObject]]) -> Condition:
        """Batch the facts of several pictures on the latents' device."""
        maps = torch.stack([object_map(o, *latent.shape[2:]) for o in objects])
        rate = torch.tensor(bpp).clamp_min(1e-4).log2()
        device = latent.device
        return cls(latent, rate.to(device), torch.tensor(coder, device=device),
                   word_batch(captions).to(device), maps.to(device))


class FlowPrior(Protocol):
    """Straight path x_t = (1 - t) z + t x_1 from data (t = 0) to the start (t = 1)."""

    def start(self, noise: Tensor, condition: Condition) -> Tensor:
        """Where the flow starts: x_1 (B, C, h, w)."""

    def velocity(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """dx/dt at time t (B,), same shape as ``x``."""


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of the embedded prior; stored in its checkpoint."""

    latent_channels: int = 16
    widths: tuple[int, int] = (128, 256)
    blocks: tuple[int, int, int] = (2, 4, 2)
    condition: int = 256
    start_noise: float = 0.5


class EmbeddedPrior(nn.Module):
    """
    Two-level convolutional U-Net with FiLM conditioning.

    The flow runs from the decoded latent plus noise to the clean latent (a rectified flow, Liu
    et al. 2022, with data-dependent coupling, Albergo et al. 2023). The network predicts the
    clean latent as a correction of the decoded one; the velocity follows from it.
    """

    def __init__(self, config: PriorConfig = PriorConfig()) -> None:
        super().__init__()
        self.config = c = config
        w8, w16 = c.widths
        self.objects = nn.Conv2d(OBJECT_CLASSES + 1, 16, 1, bias=False)
        self.entry = nn.Conv2d(2 * c.latent_channels + 16, w8, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(32, c.condition), nn.SiLU(),
                                  nn.Linear(c.condition, c.condition))
        self.text = TextEncoder(c.condition)
        self.coder = nn.Embedding(16, c.condition)
        self.down = nn.ModuleList(ResBlock(w8, c.condition) for _ in range(c.blocks[0]))
        self.shrink = nn.Conv2d(w8, w16, 4, stride=2, padding=1)
        self.middle = nn.ModuleList(ResBlock(w16, c.condition) for _ in range(c.blocks[1]))
        self.grow = upsample(w16, w8)
        self.up = nn.ModuleList(ResBlock(w8, c.condition) for _ in range(c.blocks[2]))
        self.exit = nn.Conv2d(w8, c.latent_channels, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]

    def start(self, noise: Tensor, condition: Condition) -> Tensor:
        """Add scaled noise to the decoded latent."""
        return condition.latent + self.config.start_noise * noise

    def velocity(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """(x - z) / t with the predicted clean latent z; t in 0..1, (B,)."""
        return (x - self.clean(x, t, condition)) / t.clamp_min(0.02)[:, None, None, None]

    def clean(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Predicted clean latent (B, C, h, w); h and w are multiples of 2."""
        film = F.silu(self._embed(t, condition))
        painted = self.objects(condition.objects)
        # channel counts: noisy latent, decoded latent, painted objects
        h = self.entry(torch.cat([x, condition.latent, painted], dim=1))
        for block in self.down:
            h = block(h, film)
        low = self.shrink(h)
        for block in self.middle:
            low = block(low, film)
        h = h + self.grow(low)
        for block in self.up:
            h = block(h, film)
        return condition.latent + self.exit(F.silu(h))

    def _embed(self, t: Tensor, condition: Condition) -> Tensor:
        frequencies = torch.exp2(torch.arange(8, device=t.device) * 0.75)
        angles = torch.cat([t[:, None] * frequencies, condition.rate[:, None] * frequencies / 8],
                           dim=1)
        waves = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        return waves + self.text(condition.words) + self.coder(condition.coder)
