"""
The grid that a decoder leaves: a faint pattern that repeats with its blocks.

Feature losses reward such patterns (Odena et al., "Deconvolution and Checkerboard Artifacts",
2016, shows where they come from); the eye does not.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_REACH = 2.0    # deviation of the mean that a pattern is found by [blocks]


def grid_pattern(added: Tensor, block: int) -> Tensor:
    """
    Return what repeats from block to block of ``block`` x ``block`` pixels, differentiable.

    Each place within the blocks has its own smooth mean; by how much these differ from their
    common mean is the pattern.

    :param added: made picture minus plain one (B, C, H, W), sides multiples of ``block``. The
        plain picture has no such pattern, and its own contours would only disturb.
    """
    batch, channels = added.shape[:2]
    places = F.pixel_unshuffle(added, block)
    means = _smooth(_smooth(places).mT).mT.reshape(batch, channels, block ** 2, -1)
    means = means - means.mean(dim=2, keepdim=True)
    return F.pixel_shuffle(means.reshape(places.shape), block)


def _smooth(maps: Tensor) -> Tensor:
    """Gaussian means of neighbours along the last axis, of any number of maps."""
    place = torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    away = (place[:, None] - place).abs() / _REACH
    # cut off where it has faded: numbers near the smallest make the product ten times slower
    weights = torch.exp(-away.square() / 2) * (away < 4)
    # one large product, not one for each map
    return (maps.reshape(-1, len(place)) @ (weights / weights.sum(dim=0))).reshape(maps.shape)
