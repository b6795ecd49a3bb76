"""What a family of stock models tells us: its latent space, its text and its velocity."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
import math
from typing import Any, ClassVar

import torch
from torch import Tensor

Embedded = tuple[Tensor, ...]
"""Text of one picture as the family's transformer takes it; the first axis is 1."""


class Family(ABC):
    """
    A loaded diffusers pipeline behind names and signs of our own.

    The defaults serve an ``AutoencoderKL`` with shift and scale of its latents. A new family is a
    file with a child of this class, and a line in ``families.py``.
    """

    pipeline: ClassVar[str]
    """``_class_name`` in the model's model_index.json."""
    steps: ClassVar[int]
    large: ClassVar[tuple[str, ...]]
    """Components that 8 and 4 bits are worth for."""
    stride: ClassVar[int] = 16
    """Sides of its pictures are multiples of this: f8 latents in patches of 2x2."""

    def __init__(self, pipe: Any, dtype: torch.dtype) -> None:
        self.pipe, self.dtype = pipe, dtype

    @property
    def guidance(self) -> float:
        """Strength of the text that the model was made for; 1: one pass, no guidance."""
        return 1.0

    @property
    def embeds_guidance(self) -> bool:
        """Whether the strength is an input of the transformer rather than a second pass."""
        return False

    @abstractmethod
    def embed(self, prompt: str) -> Embedded:
        """Run the model's own text encoders."""

    @abstractmethod
    def velocity(self, x: Tensor, t: Tensor, text: Sequence[Embedded], guidance: float) -> Tensor:
        """dx/dt of latents (B, C, h, w) at times (B,), 0 being clean; float32."""

    def shift(self, height: int, width: int, steps: int) -> float:
        """Factor by which times are shifted for latents of that size; 1: evenly spaced."""
        config = self.pipe.scheduler.config
        if not config.use_dynamic_shifting:
            return float(config.shift)
        mu = self.shift_exponent(height * width // self._cells_per_token, steps)
        return math.exp(mu) if config.time_shift_type == 'exponential' else mu

    def shift_exponent(self, tokens: int, steps: int) -> float:
        """Let it grow linearly from a small to a large picture, as the scheduler's file says."""
        config = self.pipe.scheduler.config
        share = (tokens - config.base_image_seq_len) / (
            config.max_image_seq_len - config.base_image_seq_len)
        return float(config.base_shift + share * (config.max_shift - config.base_shift))

    @property
    def _cells_per_token(self) -> int:
        return 4

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1 to latents (B, C, h, w), float32."""
        shift, scale = self._shift_and_scale()
        return (self._encode(rgb) - shift) * scale

    def to_picture(self, latent: Tensor) -> Tensor:
        """Latents (B, C, h, w) to pictures (B, 3, H, W), about -1..1, float32."""
        shift, scale = self._shift_and_scale()
        return self._decode(latent / scale + shift)

    def _shift_and_scale(self) -> tuple[float, float]:
        config = self.pipe.vae.config
        return float(config.shift_factor or 0), float(config.scaling_factor)

    def _encode(self, rgb: Tensor) -> Tensor:
        """Take the mode of the distribution, so that nothing is random."""
        found = self.pipe.vae.encode(rgb.to(self.pipe.vae.dtype).contiguous())
        latent = found.latents if hasattr(found, 'latents') else found.latent_dist.mode()
        return latent.float()

    def _decode(self, raw: Tensor) -> Tensor:
        return self.pipe.vae.decode(raw.to(self.pipe.vae.dtype), return_dict=False)[0].float()


def stack(text: Sequence[Embedded], index: int) -> Tensor:
    """Batch one part of several texts."""
    return torch.cat([embedded[index] for embedded in text])


def patches(latent: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 4 C, h / 2, w / 2): the four cells of a channel come together."""
    return torch.pixel_unshuffle(latent, 2)


def cells(patched: Tensor) -> Tensor:
    """Undo ``patches``."""
    return torch.pixel_shuffle(patched, 2)


def tokens(grid: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C)."""
    return grid.flatten(2).transpose(1, 2)


def grid(sequence: Tensor, height: int, width: int) -> Tensor:
    """Undo ``tokens``."""
    return sequence.transpose(1, 2).unflatten(2, (height, width))
