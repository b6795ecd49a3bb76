"""Runs the mean predictor: coded planes in, picture of the source's size out."""
from __future__ import annotations

from pathlib import Path
from typing import cast

from gsc_ros.codec.resample import enlarge, Planes
from gsc_ros.models import checkpoint, int8
from gsc_ros.models.frames import crop_to_picture
from gsc_ros.models.mean import coding_facts, MeanConfig, MeanPredictor, to_size
import numpy as np
import torch


def load_mean(file: Path, device: str = 'cpu') -> MeanPredictor:
    """
    Load a mean predictor that was exported.

    :raises CheckpointError: if the file is missing or damaged.
    """
    return cast(MeanPredictor, checkpoint.load(MeanPredictor, MeanConfig, file, device))


class MeanGenerator:
    """
    A mean predictor, in 8-bit integers where the processor has them.

    :param model: is changed where it is quantised.
    :param exact: keep to floats.
    """

    def __init__(self, model: MeanPredictor, device: str = 'cpu', exact: bool = False) -> None:
        if not exact and int8.supported(device):
            int8.quantise(model)
        self._model, self._device = model, device

    @torch.no_grad()
    def restore(self, planes: Planes, width: int, height: int, latent_bytes: int) -> np.ndarray:
        """
        Make the picture (height, width, 3) uint8 RGB of decoded 4:2:0 planes.

        :param planes: as ``HevcCoder`` decodes them, at coded size.
        :param latent_bytes: that they took: how coarsely they were coded.
        """
        rows, columns = planes[0].shape
        small = torch.from_numpy(enlarge(planes, columns, rows)).to(self._device)
        small = small.permute(2, 0, 1)[None].float() / 255
        facts = coding_facts(8 * latent_bytes, rows * columns, width * height)
        made = self._model(small.contiguous(memory_format=torch.channels_last),
                           torch.tensor([facts], device=self._device))
        return crop_to_picture(to_size(made, height, width) * 2 - 1, width, height)
