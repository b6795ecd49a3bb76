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
    height, width = added.shape[2:]
    down, right = height // block, width // block
    with torch.autocast(added.device.type, enabled=False):
        added = added.float().contiguous()
        # the mean of each place: along the blocks of a column, then along those of a row
        means = _weights(down, added) @ added.view(-1, down, block * width)
        means = _weights(right, added) @ means.view(-1, right, block)
        means = means.view(*added.shape[:2], down, block, right, block)
        smooth = means.mean(dim=(3, 5), keepdim=True)
        blocks = F.avg_pool2d(added, block)
        offset = (torch.arange(block, device=added.device) - (block - 1) / 2) / block
        slopes = [_weights(down, added) @ _slope(blocks, axis) @ _weights(right, added).mT
                  for axis in (2, 3)]
        expected = smooth + slopes[0][:, :, :, None, :, None] * offset[:, None, None] \
            + slopes[1][:, :, :, None, :, None] * offset
        return (means - expected).view(added.shape)


def _slope(maps: Tensor, axis: int) -> Tensor:
    """Differences from place to place along an axis, as large as ``maps``."""
    return torch.gradient(maps, dim=axis)[0] if maps.shape[axis] > 1 else torch.zeros_like(maps)


def _weights(count: int, like: Tensor) -> Tensor:
    """Shares (count, count) of the blocks in a row (columns) in the Gaussian mean at each."""
    place = torch.arange(count, dtype=like.dtype, device=like.device)
    away = (place[:, None] - place).abs() / _REACH
    # cut off where it has faded: numbers near the smallest make the product ten times slower
    weights = torch.exp(-away.square() / 2) * (away < 4)
    return weights / weights.sum(dim=1, keepdim=True)
