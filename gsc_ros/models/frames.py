"""Pictures (uint8, any size) to network tensors (padded, -1..1) and back."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pad_to_tensor(picture: np.ndarray, multiple: int, device: str = 'cpu') -> Tensor:
    """Picture (H, W, 3) uint8 -> (1, 3, H', W') in -1..1; the border repeats to a multiple."""
    bottom, right = (-side % multiple for side in picture.shape[:2])
    padded = np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode='edge')
    tensor = torch.from_numpy(padded).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def crop_to_picture(tensor: Tensor, width: int, height: int) -> np.ndarray:
    """(1, 3, H', W') in -1..1 -> (height, width, 3) uint8, clipped."""
    pixels = ((tensor[0, :, :height, :width].clamp(-1, 1) + 1) * 127.5).round()
    return np.ascontiguousarray(pixels.permute(1, 2, 0).to(torch.uint8).cpu().numpy())
