"""A stock model as a flow prior that knows nothing of our coders."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gsc_ros.prior.embedded import PictureFacts, Running
from gsc_ros.prior.sampling import shifted
from gsc_ros.prior.stock.family import Embedded, Family
from gsc_ros.prior.stock.settings import StockSettings
from gsc_ros.prior.stock.start import start_time
from gsc_ros.prior.stock.words import prompt
import torch
from torch import Tensor

_CACHED_TEXTS = 32      # a few cameras, each with its caption of the last minutes


@dataclass(frozen=True)
class Prompted:
    """What the flow of a batch starts from: latents (B, C, h, w), times (B,), a text each."""

    latent: Tensor
    start: Tensor
    text: tuple[Embedded, ...]


class StockPrior:
    """
    Flow of a stock model from the plain picture's latent plus noise.

    The plain picture is noised to a time t0 and the model's own flow followed from there (SDEdit,
    Meng et al. 2022, on a straight path).
    """

    def __init__(self, family: Family, settings: StockSettings = StockSettings()) -> None:
        self.family, self.settings = family, settings
        self.stride = family.stride
        self.running = Running(settings.steps or family.steps, 1.0, settings.consistency,
                               settings.gradient_steps)
        self._embed = lru_cache(_CACHED_TEXTS)(self._embed_once)
        self._guidance = family.guidance if settings.guidance is None else settings.guidance

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Encode pictures (B, 3, H, W) in -1..1, sides multiples of ``stride``."""
        return self.family.to_latent(rgb)

    def to_picture(self, latent: Tensor) -> Tensor:
        """Render latents (B, C, h, w) as pictures, about -1..1."""
        return self.family.to_picture(latent)

    def condition(self, latent: Tensor, facts: Sequence[PictureFacts]) -> Prompted:
        """Choose where each picture's flow starts, and read its words."""
        chosen = self.settings.start
        start = [start_time(f.bpp) if chosen is None else chosen for f in facts]
        text = tuple(self._embed(prompt(f.caption, f.objects)) for f in facts)
        return Prompted(latent, torch.tensor(start, device=latent.device), text)

    def times(self, steps: int, condition: Prompted) -> Tensor:
        """From each picture's start to 0, shifted as the model's scheduler would."""
        height, width = condition.latent.shape[2:]
        return shifted(condition.start, steps, self.family.shift(height, width, steps))

    def start(self, noise: Tensor, condition: Prompted) -> Tensor:
        """(1 - t0) latent + t0 noise."""
        t = condition.start[:, None, None, None]
        return torch.lerp(condition.latent, noise, t)

    def velocity(self, x: Tensor, t: Tensor, condition: Prompted) -> Tensor:
        """Velocity of the model; where guidance asks for it, away from that without a text."""
        towards = self.family.velocity(x, t, condition.text, self._guidance)
        if self._guidance == 1 or self.family.embeds_guidance:
            return towards
        blank = (self._embed(''),) * len(condition.text)
        without = self.family.velocity(x, t, blank, 1.0)
        return without + self._guidance * (towards - without)

    def _embed_once(self, text: str) -> Embedded:
        if self.settings.offload:
            # The transformer leaves the accelerator before the text encoders come.
            self.family.pipe.maybe_free_model_hooks()
        return tuple(part.detach() for part in self.family.embed(text))
