"""Z-Image-Turbo."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.prior.stock.family import Embedded, Family
import torch
from torch import Tensor


class ZImage(Family):
    """One stream of text and picture tokens; its time runs the other way, and so its velocity."""

    pipeline = 'ZImagePipeline'
    steps = 8
    large = ('transformer', 'text_encoder')

    def embed(self, prompt: str) -> Embedded:
        """States of the language model, (1, n, D), n the length of the text."""
        (states,), _ = self.pipe.encode_prompt([prompt], do_classifier_free_guidance=False)
        return (states[None],)

    def velocity(self, x: Tensor, t: Tensor, text: Sequence[Embedded], guidance: float) -> Tensor:
        """Turn the sign: it predicts clean picture minus noise, at 1 - t."""
        frames = [picture[:, None] for picture in x.to(self.dtype)]
        states = [embedded[0][0] for embedded in text]
        out = self.pipe.transformer(frames, 1 - t, states, return_dict=False)[0]
        return -torch.stack([frame[:, 0] for frame in out]).float()
