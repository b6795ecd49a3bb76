"""FLUX.2 klein."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.prior.stock.family import cells, Embedded, Family, grid, patches, stack, tokens
import torch
from torch import Tensor

# Of the time shift, fitted by the model's makers to the number of tokens at 10 and at 200 steps.
_AT_10_STEPS = 8.73809524e-05, 1.89833333
_AT_200_STEPS = 0.00016927, 0.45666666
_MANY_TOKENS = 4300


class Flux2Klein(Family):
    """Patches of the latent, normalised by batch statistics, are the latents; Qwen3 text."""

    pipeline = 'Flux2KleinPipeline'
    steps = 4
    large = ('transformer', 'text_encoder')

    @property
    def guidance(self) -> float:
        """The distilled model needs one pass, the base model a second without text."""
        return 1.0 if self.pipe.config.is_distilled else 4.0

    def embed(self, prompt: str) -> Embedded:
        """States of three layers of the language model, (1, 512, 3 D)."""
        return (self.pipe.encode_prompt(prompt)[0],)

    def velocity(self, x: Tensor, t: Tensor, text: Sequence[Embedded], guidance: float) -> Tensor:
        """Take noise minus clean picture as it comes; times stay in 0..1."""
        height, width = x.shape[2:]
        states = stack(text, 0)
        out = self.pipe.transformer(
            hidden_states=tokens(x.to(self.dtype)), timestep=t, guidance=None,
            encoder_hidden_states=states, txt_ids=_places(1, 1, states.shape[1], x),
            img_ids=_places(height, width, 1, x), return_dict=False)[0]
        return grid(out, height, width).float()

    def shift_exponent(self, tokens: int, steps: int) -> float:
        """Linear in the tokens, and, for pictures that are not large, in the steps."""
        many = _AT_200_STEPS[0] * tokens + _AT_200_STEPS[1]
        if tokens > _MANY_TOKENS:
            return many
        few = _AT_10_STEPS[0] * tokens + _AT_10_STEPS[1]
        return many + (many - few) / 190 * (steps - 200)

    @property
    def _cells_per_token(self) -> int:
        return 1

    def to_latent(self, rgb: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) to normalised patches (B, 128, H / 16, W / 16)."""
        mean, deviation = self._statistics(rgb.device)
        return (patches(self._encode(rgb)) - mean) / deviation

    def to_picture(self, latent: Tensor) -> Tensor:
        """Normalised patches to pictures."""
        mean, deviation = self._statistics(latent.device)
        return self._decode(cells(latent * deviation + mean))

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        vae = self.pipe.vae
        variance = vae.bn.running_var.float() + vae.config.batch_norm_eps
        mean = vae.bn.running_mean.float()
        return (mean.to(device)[:, None, None], variance.sqrt().to(device)[:, None, None])


def _places(height: int, width: int, words: int, like: Tensor) -> Tensor:
    """Picture, row, column and word of each token, (B, height width words, 4)."""
    places = torch.cartesian_prod(
        torch.arange(1), torch.arange(height), torch.arange(width), torch.arange(words))
    return places.to(like.device)[None].expand(like.shape[0], -1, -1)
