"""LPIPS (Zhang et al., 2018) and DISTS (Ding et al., 2020) with their published weights."""
from __future__ import annotations

from functools import partial
import importlib
import importlib.util
from pathlib import Path

from gsc_ros.codec.errors import MissingDependencyError
from gsc_ros.evaluation.judges.kind import JudgeKind, Measure
import numpy as np

# What piq fetches on first use: file names in torch's hub cache.
_WEIGHTS = {'LPIPS': ('vgg16-397923af.pth', 'lpips_weights.pt'),
            'DISTS': ('vgg16-397923af.pth', 'dists_weights.pt')}
_CURE = 'pip install --no-deps piq, then once with a network: ' \
        'python -c "import piq; piq.LPIPS(); piq.DISTS()"'


def check(name: str) -> None:
    """
    Check that the package and its weights are there.

    :raises MissingDependencyError: otherwise.
    """
    if importlib.util.find_spec('piq') is None:
        raise MissingDependencyError('piq', _CURE)
    import torch
    cache = Path(torch.hub.get_dir()) / 'checkpoints'
    for file in _WEIGHTS[name]:
        if not (cache / file).is_file():
            raise MissingDependencyError(f'{file} ({name} weights)', _CURE)


def load(name: str, device: str, threads: int) -> Measure:
    """Make one of the two measures."""
    from gsc_ros.models.torchvision_shim import import_torchvision
    import_torchvision()
    import torch
    network = getattr(importlib.import_module('piq'), name)().to(device).eval()

    def tensor(picture: np.ndarray) -> torch.Tensor:
        return torch.tensor(picture, device=device).permute(2, 0, 1)[None].float() / 255

    def distance(picture: np.ndarray, reference: np.ndarray) -> float:
        with torch.inference_mode():
            return float(network(tensor(picture), tensor(reference)))
    return distance


LPIPS = JudgeKind('lpips', 'LPIPS', -1, 3, partial(load, 'LPIPS'), partial(check, 'LPIPS'),
                  headline=2)
DISTS = JudgeKind('dists', 'DISTS', -1, 3, partial(load, 'DISTS'), partial(check, 'DISTS'))
