"""Losses on pixels that the stages share."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_FLAT = 5.0         # local deviation at which an area counts for little, in levels of 255
_WINDOW = 9         # side of what "local" is [pixels]
# Distances at which a pattern shows, of which single edges have no more than the source [pixels].
_LAGS = (3, 4, 5, 6, 8, 10, 12)
_REGION = 33        # side of the area over which it must hold to be one [pixels]
_EPSILON = 1e-3     # of Charbonnier's root, in units of -1..1
_KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def charbonnier(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference, rounded off at 0 (Charbonnier et al., 1994)."""
    return ((a - b).square() + _EPSILON ** 2).sqrt().mean()


def colour_difference(a: Tensor, b: Tensor) -> Tensor:
    """Charbonnier of R - G and B - G of (B, 3, H, W): features forgive coloured fringes."""
    return charbonnier(a[:, ::2] - a[:, 1:2], b[:, ::2] - b[:, 1:2])


def high_pass(picture: Tensor) -> Tensor:
    """Subtract a binomial blur of five pixels: (B, C, H, W) -> same."""
    channels = picture.shape[1]
    kernel = torch.tensor(_KERNEL, device=picture.device, dtype=picture.dtype)
    blurred = F.pad(picture, (2, 2, 2, 2), mode='replicate')
    blurred = F.conv2d(blurred, kernel.view(1, 1, 1, 5).repeat(channels, 1, 1, 1), groups=channels)
    blurred = F.conv2d(blurred, kernel.view(1, 1, 5, 1).repeat(channels, 1, 1, 1), groups=channels)
    return picture - blurred


def flatness(picture: Tensor) -> Tensor:
    """How flat (B, 3, H, W) in -1..1 is around each pixel, (B, 1, H, W): 1 for constant, to 0."""
    grey = picture.mean(1, keepdim=True) * 127.5
    mean = _local(grey)
    deviation = (_local((grey - mean).square())).clamp_min(0)
    return torch.exp(-deviation / _FLAT ** 2)


def flat_excess(made: Tensor, real: Tensor) -> Tensor:
    """
    Grain that ``made`` has above that of ``real`` where ``real`` is flat, both in -1..1; >= 0.

    The local RMS of what a high pass leaves: it punishes bumps and woven patterns wherever they
    lie, and says nothing of textures.
    """
    with torch.no_grad():
        weight = flatness(real)
        allowed = _rms(real)
    return (weight * (_rms(made) - allowed).clamp_min(0)).mean()


def pattern_excess(made: Tensor, real: Tensor) -> Tensor:
    """
    How much more ``made`` repeats itself than ``real``, both (B, 3, H, W) in -1..1; >= 0.

    The positive part of the autocovariance of what a high pass leaves, across and down, region by
    region, as an amplitude. Detail that follows the picture is free, grain at random too; rows of
    dots and weaves are not, be the source flat or not.
    """
    with torch.no_grad():
        allowed = [c.clamp_min(0) for c in _autocovariances(real)]
    return torch.stack([
        ((own - limit).clamp_min(0) + 1e-6).sqrt().mean() - 1e-3
        for own, limit in zip(_autocovariances(made), allowed, strict=True)]).mean()


def _autocovariances(picture: Tensor) -> list[Tensor]:
    """Of every lag across and down, one (B, 1, h, w) of overlapping regions each."""
    detail = high_pass(picture).mean(1, keepdim=True)
    region = min(_REGION, min(detail.shape[2:]) - max(_LAGS))
    products = [(x[..., lag:] * x[..., :-lag]) for x in (detail, detail.transpose(2, 3))
                for lag in _LAGS]
    return [F.avg_pool2d(product, region, region // 4) for product in products]


def _rms(picture: Tensor) -> Tensor:
    energy = high_pass(picture).square().mean(1, keepdim=True)
    return (_local(energy) + 1e-6).sqrt()


def _local(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
