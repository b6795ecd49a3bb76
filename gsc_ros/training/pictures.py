"""Tensors and sheets of pictures for the training stages."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType

from gsc_ros.training.data import PictureSet, Window
import numpy as np
from PIL import Image
import torch
from torch import Tensor


def to_batch(crops: list[np.ndarray]) -> Tensor:
    """Stack uint8 crops (H, W, 3) into (B, 3, H, W) float32 in -1..1, channels last."""
    batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return batch.contiguous(memory_format=torch.channels_last)


def to_uint8(batch: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 -> (B, H, W, 3) uint8, clipped."""
    pixels = ((batch.detach().clamp(-1, 1) + 1) * 127.5).round()
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def centre_crops(pictures: PictureSet, size: int = 256) -> list[np.ndarray]:
    """Cut the middle square of every picture; those of small ones are enlarged."""
    crops = []
    for picture in pictures.pictures:
        height, width = picture.shape[:2]
        side = min(height, width, size)
        crops.append(Window((height - side) // 2, (width - side) // 2, side, False).cut(
            picture, size))
    return crops


def window_at(corner: Sequence[int] | np.ndarray, size: int) -> tuple[EllipsisType, slice, slice]:
    """Index of a square of the last two axes."""
    top, left = corner
    return ..., slice(top, top + size), slice(left, left + size)


def write_sheet(rows: list[Tensor], path: Path) -> None:
    """Write equal-sized batches as rows of one picture."""
    Image.fromarray(np.concatenate(
        [np.concatenate(list(to_uint8(row)), axis=1) for row in rows], axis=0)).save(path)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """PSNR in dB of each picture, (B, 3, H, W) in -1..1 clipped -> (B,)."""
    mse = (a.clamp(-1, 1) - b).square().mean((1, 2, 3)) / 4
    return -10 * mse.clamp_min(1e-10).log10()
