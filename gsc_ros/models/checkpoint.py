"""Weights on disk: safetensors in half precision, the network's sizes in the metadata."""
from __future__ import annotations

from dataclasses import asdict, is_dataclass
import json
from pathlib import Path
from typing import Any, get_type_hints

from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import nn, Tensor


def save(model: nn.Module, config: Any, path: Path, half: bool = True) -> None:
    """Write a model's state with its config dataclass; floats as float16 if ``half``."""
    def stored(tensor: Tensor) -> Tensor:
        small = half and tensor.is_floating_point()
        return (tensor.half() if small else tensor).detach().cpu().contiguous()
    tensors = {name: stored(value) for name, value in model.state_dict().items()}
    save_file(tensors, path, {'config': json.dumps(asdict(config))})
    path.chmod(0o644)   # safetensors makes private files


def load(build: Any, config: type, path: Path, device: str = 'cpu') -> nn.Module:
    """
    Build ``build(config(...))`` with the sizes and weights of a file, float32, in eval mode.

    :raises CheckpointError: if the file is missing, damaged or of another architecture.
    :raises InvalidInputError: if there is no such device.
    """
    if not path.is_file():
        raise CheckpointError(path, 'no such file; `gsc train` makes it')
    try:
        with safe_open(path, 'pt') as file:
            sizes = json.loads((file.metadata() or {})['config'])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = build(_restore(config, sizes))
        model.load_state_dict({k: v.float() if v.is_floating_point() else v
                               for k, v in tensors.items()})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(path, str(error)) from error
    try:
        model = model.eval().requires_grad_(False).to(device)
    except (RuntimeError, AssertionError) as error:     # torch has no type for it
        raise InvalidInputError('device', device, f'one that torch has here ({error})') from error
    return model.to(memory_format=torch.channels_last)


def _restore(config: type, sizes: dict[str, Any]) -> Any:
    """Make a config dataclass from its JSON form: lists are tuples, dicts are configs within."""
    kinds = get_type_hints(config)

    def value(name: str, stored: Any) -> Any:
        if is_dataclass(kinds[name]):
            return _restore(kinds[name], stored)
        return tuple(stored) if isinstance(stored, list) else stored
    return config(**{name: value(name, stored) for name, stored in sizes.items()})
