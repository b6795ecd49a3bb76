"""
8-bit integer convolutions, for inference on processors that have instructions for them (VNNI).

Weights are quantised once per output channel, activations per picture and layer over their whole
range (Jacob et al. 2018, section 2); sums are 32-bit, results float32.
"""
from __future__ import annotations

import cv2
import torch
from torch import nn, Tensor

# Convolutions of fewer input channels take longer to quantise for than they save.
_LEAST_CHANNELS = 32


def supported(device: str) -> bool:
    """Tell if ``device`` multiplies 8-bit integers faster than floats."""
    vnni = getattr(torch.cpu, '_is_vnni_supported', lambda: False)     # not in every torch
    return torch.device(device).type == 'cpu' and vnni() \
        and hasattr(torch.ops.onednn, 'qconv2d_pointwise')


def quantise(model: nn.Module) -> None:
    """Replace the wide convolutions of ``model`` in place; it can only be run after that."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d) and layer.in_channels >= _LEAST_CHANNELS:
                setattr(parent, name, Int8Conv2d(layer))


class Int8Conv2d(nn.Module):
    """An ungrouped ``nn.Conv2d`` with 8-bit weights and inputs: (B, C, H, W) float32 -> same."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        scale = (weight.abs().amax(dim=(1, 2, 3)) / 127).clamp_min(1e-12)
        rounded = (weight / scale[:, None, None, None]).round().to(torch.int8).contiguous()
        self._geometry = (list(layer.stride), list(layer.padding), list(layer.dilation), 1)
        self._scale, self._zero = scale, torch.zeros(len(scale), dtype=torch.int32)
        self._bias = layer.bias
        self._weight = torch.ops.onednn.qconv_prepack(rounded, scale, 1.0, 0, *self._geometry)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve each picture by its own range, so that it is the same in every batch."""
        if len(x) == 1:
            return self._one(x)
        return torch.cat([self._one(picture[None]) for picture in x])

    def _one(self, x: Tensor) -> Tensor:
        levels, scale, zero = _levels(x.permute(0, 2, 3, 1).contiguous())
        return torch.ops.onednn.qconv2d_pointwise(
            levels.permute(0, 3, 1, 2), scale, zero, self._weight, self._scale, self._zero,
            self._bias, *self._geometry, 1.0, 0, torch.float32, 'none', [], '')


def _levels(x: Tensor) -> tuple[Tensor, float, int]:
    """Tensor of any shape, contiguous, as uint8 levels, with the scale and the level of 0."""
    low, high = torch.aminmax(x)
    bottom, top = min(float(low), 0.0), max(float(high), 0.0)
    scale = max((top - bottom) / 255, 1e-12)
    zero = round(-bottom / scale)
    levels = torch.empty_like(x, dtype=torch.uint8)
    # scales, rounds and clips in one pass; torch needs three
    cv2.convertScaleAbs(x.numpy().reshape(1, -1), levels.numpy().reshape(1, -1), 1 / scale, zero)
    return levels, scale, zero
