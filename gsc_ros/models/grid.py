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
    common mean and slope is the pattern. Float32, whatever the precision around.

    :param added: made picture minus plain one (B, C, H, W), sides multiples of ``block``. The
        plain picture has no such pattern, and its own contours would only disturb.
    """
    if max(added.shape[2:]) == block:
        return torch.zeros_like(added)      # a single block repeats nothing
    with torch.autocast(added.device.type, enabled=False):
        added = added.float().contiguous()      # channels last takes twice as long
        places = F.pixel_unshuffle(added, block)
        means = _smooth(places).reshape(*added.shape[:2], block, block, *places.shape[2:])
        blocks = F.avg_pool2d(added, block)
        down, right = (_smooth(_slope(blocks, axis))[:, :, None, None] for axis in (2, 3))
        offset = (torch.arange(block, device=added.device) - (block - 1) / 2) / block
        expected = (means.mean(dim=(2, 3), keepdim=True) + down * offset.view(-1, 1, 1, 1)
                    + right * offset.view(-1, 1, 1))
        return F.pixel_shuffle((means - expected).reshape(places.shape), block)


def _slope(maps: Tensor, axis: int) -> Tensor:
    """Differences from place to place along an axis, as large as ``maps``."""
    return torch.gradient(maps, dim=axis)[0] if maps.shape[axis] > 1 else torch.zeros_like(maps)


def _smooth(maps: Tensor) -> Tensor:
    """Gaussian means of neighbouring places, (B, C, h, w)."""
    return _smooth_last(_smooth_last(maps).mT).mT


def _smooth_last(maps: Tensor) -> Tensor:
    """Smooth along the last axis, any number of maps."""
    place = torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    away = (place[:, None] - place).abs() / _REACH
    # cut off where it has faded: numbers near the smallest make the product ten times slower
    weights = torch.exp(-away.square() / 2) * (away < 4)
    # one large product, not one for each map
    return (maps.reshape(-1, len(place)) @ (weights / weights.sum(dim=0))).reshape(maps.shape)
