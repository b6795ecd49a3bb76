"""FLUX.1 schnell and dev."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.prior.stock.family import cells, Embedded, Family, grid, patches, stack, tokens
import torch
from torch import Tensor

_TEXT_TOKENS = 256      # schnell's limit; dev takes up to 512


class Flux(Family):
    """Latents in 2x2 patches as tokens, T5 and pooled CLIP text, guidance as an input (dev)."""

    pipeline = 'FluxPipeline'
    steps = 4
    large = ('transformer', 'text_encoder_2')

    @property
    def guidance(self) -> float:
        """Dev was distilled with it; schnell has none."""
        return 3.5 if self.embeds_guidance else 1.0

    @property
    def embeds_guidance(self) -> bool:
        """As its file says."""
        return bool(self.pipe.transformer.config.guidance_embeds)

    def embed(self, prompt: str) -> Embedded:
        """T5 states (1, 256, D) and pooled CLIP state (1, P)."""
        states, pooled, _ = self.pipe.encode_prompt(prompt, None, max_sequence_length=_TEXT_TOKENS)
        return states, pooled

    def velocity(self, x: Tensor, t: Tensor, text: Sequence[Embedded], guidance: float) -> Tensor:
        """Take noise minus clean picture as it comes; times stay in 0..1."""
        patched = patches(x).to(self.dtype)
        height, width = patched.shape[2:]
        states = stack(text, 0)
        strength = torch.full_like(t, guidance) if self.embeds_guidance else None
        out = self.pipe.transformer(
            hidden_states=tokens(patched), timestep=t, guidance=strength,
            pooled_projections=stack(text, 1), encoder_hidden_states=states,
            txt_ids=torch.zeros(states.shape[1], 3, device=x.device),
            img_ids=_places(height, width, x.device), return_dict=False)[0]
        return cells(grid(out, height, width)).float()


def _places(height: int, width: int, device: torch.device) -> Tensor:
    """Row and column of each token behind a zero, (height width, 3)."""
    rows, columns = torch.arange(height), torch.arange(width)
    return torch.cartesian_prod(torch.zeros(1), rows.float(), columns.float()).to(device)
