"""Stable Diffusion 3 and 3.5."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.prior.stock.family import Embedded, Family, stack
from torch import Tensor

_TRAIN_TIMES = 1000


class StableDiffusion3(Family):
    """Latents as they are; two CLIP texts and T5 side by side; guidance by a second pass."""

    pipeline = 'StableDiffusion3Pipeline'
    steps = 4       # the turbo model's; large and medium were made for 28 with guidance 3.5 to 7
    large = ('transformer', 'text_encoder_3')

    def embed(self, prompt: str) -> Embedded:
        """States (1, 333, D) and pooled CLIP states (1, P)."""
        states, _, pooled, _ = self.pipe.encode_prompt(
            prompt, None, None, do_classifier_free_guidance=False)
        return states, pooled

    def velocity(self, x: Tensor, t: Tensor, text: Sequence[Embedded], guidance: float) -> Tensor:
        """Take noise minus clean picture as it comes; times run to 1000."""
        out = self.pipe.transformer(
            hidden_states=x.to(self.dtype), timestep=t * _TRAIN_TIMES,
            encoder_hidden_states=stack(text, 0), pooled_projections=stack(text, 1),
            return_dict=False)[0]
        return out.float()
