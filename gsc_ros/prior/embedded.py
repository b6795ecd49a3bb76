"""The embedded flow prior: from a decoded latent plus noise to the latent of a real picture."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.autoencoder import Autoencoder, AutoencoderConfig
from gsc_ros.models.layers import ResBlock, upsample
from gsc_ros.prior.text import OBJECT_CLASSES, object_map, TextEncoder, word_batch
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


@dataclass(frozen=True)
class PictureFacts:
    """What a packet says of one picture beside its plain decode."""

    bpp: float
    coder: int
    caption: str = ''
    objects: Sequence[SceneObject] = ()


@dataclass(frozen=True)
class Running:
    """
    How a prior is run unless the caller says otherwise.

    ``crispness`` blends plain picture (0) and made one (1); ``consistency``, 0..1, is how strongly
    each step is pulled back to what was sent: by ``gradient_steps``, or without gradients if 0.
    ``grid`` is the side of the decoder's blocks whose pattern is taken out, 0 for none [pixels].
    """

    steps: int
    crispness: float
    consistency: float
    gradient_steps: int = 0
    grid: int = 0


class FlowPrior(Protocol):
    """
    A flow in a latent space of its own.

    Straight path x_t = (1 - t) z + t x_1 from data (t = 0) to x_1 (t = 1).
    """

    @property
    def stride(self) -> int:
        """Sides of its pictures are multiples of this [pixels]."""

    @property
    def running(self) -> Running:
        """Steps, blend and strength of the correction."""

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1 -> latents (B, C, h, w)."""

    def to_picture(self, latent: Tensor) -> Tensor:
        """Latents (B, C, h, w) -> pictures (B, 3, H, W), about -1..1 (not clipped)."""

    def condition(self, latent: Tensor, facts: Sequence[PictureFacts]) -> Any:
        """Collect what ``times``, ``start`` and ``velocity`` want to know of a batch."""

    def times(self, steps: int, condition: Any) -> Tensor:
        """Give times of a batch (steps + 1, B), falling from each picture's start to 0."""

    def start(self, noise: Tensor, condition: Any) -> Tensor:
        """Where the flow starts: x at the first of ``times``, (B, C, h, w)."""

    def velocity(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """dx/dt at time t (B,), same shape as ``x``."""


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of the embedded prior; stored in its checkpoint."""

    autoencoder: AutoencoderConfig = AutoencoderConfig()
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

    Its autoencoder is the shared one at first: the encoder stays, the decoder is trained on along
    with the flow, so that what the network leaves imperfect in the latent is rendered well.
    """

    stride: ClassVar[int] = 16      # the f8 latent is halved once
    # Crispness: 0.8 comes close to 1 in VGG distance and costs half of its PSNR: the table in the
    # model card. The prior was trained on our coders' pictures: no correction. Grid: what the
    # distance that decoders are trained on likes and the eye does not: docs/MEASURED.md.
    running: ClassVar[Running] = Running(steps=1, crispness=0.8, consistency=0.0, grid=stride)

    def __init__(self, config: PriorConfig = PriorConfig()) -> None:
        super().__init__()
        self.config = c = config
        self.autoencoder = Autoencoder(c.autoencoder)
        channels = c.autoencoder.latent_channels
        w8, w16 = c.widths
        self.objects = nn.Conv2d(OBJECT_CLASSES + 1, 16, 1, bias=False)
        self.entry = nn.Conv2d(2 * channels + 16, w8, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(32, c.condition), nn.SiLU(),
                                  nn.Linear(c.condition, c.condition))
        self.text = TextEncoder(c.condition)
        self.coder = nn.Embedding(16, c.condition)
        self.down = nn.ModuleList(ResBlock(w8, c.condition) for _ in range(c.blocks[0]))
        self.shrink = nn.Conv2d(w8, w16, 4, stride=2, padding=1)
        self.middle = nn.ModuleList(ResBlock(w16, c.condition) for _ in range(c.blocks[1]))
        self.grow = upsample(w16, w8)
        self.up = nn.ModuleList(ResBlock(w8, c.condition) for _ in range(c.blocks[2]))
        self.exit = nn.Conv2d(w8, channels, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Encode pictures (B, 3, H, W) in -1..1, sides multiples of 16."""
        return self.autoencoder.encode(rgb)

    def to_picture(self, latent: Tensor) -> Tensor:
        """Render latents (B, C, h, w) as pictures (B, 3, 8h, 8w)."""
        return self.autoencoder.decode(latent)

    def condition(self, latent: Tensor, facts: Sequence[PictureFacts]) -> Condition:
        """Batch the facts of the pictures whose latents these are."""
        return Condition.build(latent, [f.bpp for f in facts], [f.coder for f in facts],
                               [f.caption for f in facts], [f.objects for f in facts])

    def times(self, steps: int, condition: Condition) -> Tensor:
        """From 1 to 0, evenly."""
        even = torch.linspace(1, 0, steps + 1, device=condition.latent.device)
        return even[:, None].expand(-1, len(condition.latent))

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
