"""
8-bit integer convolutions, for inference on processors that have instructions for them (VNNI).

Weights are quantised once per output channel, activations per picture and layer over their whole
range (Jacob et al. 2018, section 2); sums are 32-bit, results float32.
"""
from __future__ import annotations

import cv2
from gsc_ros.models.layers import ResBlock
import torch
from torch import nn, Tensor
from torch.nn import functional as F

# Convolutions of fewer input channels take longer to quantise for than they save.
_LEAST_CHANNELS = 32


def supported(device: str) -> bool:
    """Tell if ``device`` multiplies 8-bit integers faster than floats."""
    vnni = getattr(torch.cpu, '_is_vnni_supported', lambda: False)     # not in every torch
    return torch.device(device).type == 'cpu' and vnni() \
        and hasattr(torch.ops.onednn, 'qconv2d_pointwise')


def quantise(model: nn.Module) -> None:
    """Replace blocks and wide convolutions of ``model``, which then is for inference only."""
    for parent in list(model.modules()):
        if isinstance(parent, ResBlock):
            continue    # replaced as a whole
        for name, layer in parent.named_children():
            if isinstance(layer, ResBlock) and layer.conv1.in_channels >= _LEAST_CHANNELS:
                setattr(parent, name, Int8ResBlock(layer))
            elif isinstance(layer, nn.Conv2d) and layer.in_channels >= _LEAST_CHANNELS:
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
            return self.one(x)
        return torch.cat([self.one(picture[None]) for picture in x])

    def one(self, x: Tensor, gain: Tensor | None = None, shift: Tensor | None = None,
            then: str = 'none') -> Tensor:
        """
        Convolve one picture; then, in the same pass, scale, shift and bend the channels.

        :param gain: of each output channel (C',), with ``shift`` (C',): what FiLM does.
        :param then: oneDNN's name of a function, as 'swish' (SiLU).
        """
        scale, bias = self._scale, self._bias
        if gain is not None and shift is not None:
            scale, bias = scale * gain, shift if bias is None else bias * gain + shift
        return torch.ops.onednn.qconv2d_pointwise(
            *_levels(x), self._weight, scale, self._zero, bias, *self._geometry, 1.0, 0,
            torch.float32, then, [], '')

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Convolve one picture and add the result to ``total``, which is changed."""
        return torch.ops.onednn.qconv2d_pointwise.binary(
            *_levels(x), self._weight, self._scale, self._zero, total, self._bias,
            *self._geometry, 1.0, 0, torch.float32, 1.0, 0, 'sum', 1.0, 'none', [], '')


class Int8ResBlock(nn.Module):
    """
    A ``ResBlock`` whose modulation, second SiLU and sum are done by its convolutions.

    It may write its result over its input, which nobody else may need.
    """

    def __init__(self, block: ResBlock) -> None:
        super().__init__()
        self.norm, self.modulate = block.norm, block.modulate
        self.conv1, self.conv2 = Int8Conv2d(block.conv1), Int8Conv2d(block.conv2)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply the block; see ``ResBlock``."""
        if len(x) == 1:
            return self._one(x, condition)
        return torch.cat([
            self._one(x[i:i + 1], None if condition is None else condition[i:i + 1])
            for i in range(len(x))])

    def _one(self, x: Tensor, condition: Tensor | None) -> Tensor:
        gain = shift = None
        if self.modulate is not None and condition is not None:
            scale, shift = self.modulate(condition)[0].chunk(2)
            gain = 1 + scale
        y = self.conv1.one(F.silu(self.norm(x), inplace=True), gain, shift, 'swish')
        return self.conv2.add_to(x.contiguous(memory_format=torch.channels_last), y)


def _levels(x: Tensor) -> tuple[Tensor, float, int]:
    """Picture (1, C, H, W) as uint8 levels, channels last, with the scale and the level of 0."""
    x = x.permute(0, 2, 3, 1).contiguous()
    low, high = torch.aminmax(x)
    bottom, top = min(float(low), 0.0), max(float(high), 0.0)
    scale = max((top - bottom) / 255, 1e-12)
    zero = round(-bottom / scale)
    levels = torch.empty_like(x, dtype=torch.uint8)
    # scales, rounds and clips in one pass; torch needs three
    cv2.convertScaleAbs(x.numpy().reshape(1, -1), levels.numpy().reshape(1, -1), 1 / scale, zero)
    return levels.permute(0, 3, 1, 2), scale, zero
