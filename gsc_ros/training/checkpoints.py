"""What a run leaves on disk to be resumed, exported or begun with."""
from __future__ import annotations

from dataclasses import asdict, is_dataclass
import os
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import CheckpointError
import torch
from torch import nn

FILE = 'checkpoint.pt'


def save_atomically(state: Any, path: Path) -> None:
    """Save so that a kill at any moment leaves the old file or the new one, never a part."""
    temporary = path.with_suffix('.tmp')
    torch.save(state, temporary)
    os.replace(temporary, path)


def settings(model: nn.Module) -> dict[str, Any]:
    """Sizes that a model was built with, as its checkpoints note them; empty if it has none."""
    config = getattr(model, 'config', None)
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}


def read_checkpoint(path: Path, model: nn.Module) -> dict[str, Any]:
    """
    Read what a run of such a model left: step, settings, trained, average, optimiser.

    :raises CheckpointError: if it is not there, or of a model with other settings: their weights
        may fit, and would mislead.
    """
    if not path.is_file():
        raise CheckpointError(path, f'missing; run `gsc train {path.parent.name}` first')
    state = torch.load(path, map_location='cpu', weights_only=True)
    if 'settings' not in state:
        raise CheckpointError(path, 'an older version made it, and did not note its settings')
    ours = settings(model)
    for name, value in state['settings'].items():
        if ours.get(name) != value:
            raise CheckpointError(path, f'trained with {name} {value}, not {ours.get(name)}')
    return dict(state)
