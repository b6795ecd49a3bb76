"""Loads stock priors from folders, or from what was fetched of the hub; never asks a network."""
from __future__ import annotations

from contextlib import suppress
import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from gsc_ros.codec.errors import (
    CheckpointError,
    GscError,
    InvalidInputError,
    MissingDependencyError,
)
from gsc_ros.models.torchvision_shim import import_torchvision
from gsc_ros.prior.stock.families import family_of
from gsc_ros.prior.stock.family import Family
from gsc_ros.prior.stock.prior import StockPrior
from gsc_ros.prior.stock.settings import FULL, INT4, StockSettings
import torch


class PriorMemoryError(GscError):
    """The model does not fit into the memory of the device; names what makes it smaller."""

    def __init__(self, source: object, device: str) -> None:
        super().__init__(f'prior {source} does not fit into the memory of {device}: set weights '
                         'to int8 or int4, or offload; `gsc doctor` says what each needs')


def load_stock_prior(source: str, device: str = 'cpu',
                     settings: StockSettings = StockSettings()) -> StockPrior:
    """
    Load a diffusers model as a flow prior.

    :param source: folder as ``save_pretrained`` writes it, or a hub id fetched before.
    :param device: as torch names it.
    :raises CheckpointError: if it is not there or cannot be read.
    :raises UnknownPriorError: if it is of no family that we know.
    :raises MissingDependencyError: if diffusers, or what 8 or 4 bits need, is not installed.
    :raises PriorMemoryError: if it does not fit into the device's memory.
    :raises InvalidInputError: if 8 or 4 bits are asked of a CPU.
    """
    on_cpu = torch.device(device).type == 'cpu'
    if on_cpu and settings.weights != FULL:
        raise InvalidInputError('weights', settings.weights, f'{FULL} on a CPU')
    folder = find_prior(source)
    family = family_of(folder)
    dtype = torch.float32 if on_cpu else torch.bfloat16
    try:
        pipe = _open(folder, family, device, dtype, settings)
    except torch.OutOfMemoryError as error:
        raise PriorMemoryError(source, device) from error
    return StockPrior(family(pipe, dtype), settings)


def find_prior(source: str) -> Path:
    """
    Folder of a prior: ``source`` itself, or where the hub's cache holds that id.

    :raises CheckpointError: if neither is there.
    """
    if Path(source).is_dir():
        return Path(source)
    hub = import_or_say('huggingface_hub')
    try:
        return Path(hub.snapshot_download(source, local_files_only=True))
    except (OSError, ValueError) as error:
        raise CheckpointError(source, 'is neither a folder nor a fetched model; run: '
                              f'gsc fetch-prior {source}') from error


def _open(folder: Path, family: type[Family], device: str, dtype: torch.dtype,
          settings: StockSettings) -> Any:
    pipeline = getattr(_import_diffusers(), family.pipeline, None)
    if pipeline is None:
        raise MissingDependencyError(f'a diffusers with {family.pipeline}',
                                     'pip install --upgrade diffusers')
    options: dict[str, Any] = {'dtype': dtype, 'local_files_only': True}
    if settings.weights != FULL:
        options['quantization_config'] = quantisation(settings.weights, family, dtype)
    try:
        pipe = pipeline.from_pretrained(folder, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(folder, f'cannot be loaded as {family.pipeline} ({reason})'
                              ) from error
    pipe.set_progress_bar_config(disable=True)
    return _place(pipe, device, settings)


def _place(pipe: Any, device: str, settings: StockSettings) -> Any:
    if settings.tiling:
        pipe.vae.enable_tiling()
        pipe.vae.enable_slicing()
    if settings.compile:
        pipe.transformer.compile()
    if settings.offload and torch.device(device).type != 'cpu':
        # The autoencoder is small and works between any two steps of the transformer: it stays.
        pipe._exclude_from_cpu_offload = ['vae']
        pipe.model_cpu_offload_seq = pipe.model_cpu_offload_seq.removesuffix('->vae')
        pipe.enable_model_cpu_offload(device=device)
        return pipe
    return pipe.to(device)


def quantisation(weights: str, family: type[Family], dtype: torch.dtype) -> Any:
    """
    Quantise the large components of a family as they are loaded, through bitsandbytes.

    :raises MissingDependencyError: if it is not installed.
    """
    diffusers = _import_diffusers()
    if find_spec('bitsandbytes') is None:
        raise MissingDependencyError('bitsandbytes', 'pip install bitsandbytes')
    bits, kwargs = ('4bit', {
        'load_in_4bit': True, 'bnb_4bit_quant_type': 'nf4', 'bnb_4bit_compute_dtype': dtype,
    }) if weights == INT4 else ('8bit', {'load_in_8bit': True})
    return diffusers.PipelineQuantizationConfig(
        quant_backend=f'bitsandbytes_{bits}', quant_kwargs=kwargs,
        components_to_quantize=list(family.large))


def _import_diffusers() -> Any:
    # transformers runs without torchvision, but not with one that fails to load.
    with suppress(ImportError):
        import_torchvision()
    import_or_say('transformers')
    return import_or_say('diffusers')


def import_or_say(name: str) -> ModuleType:
    """
    Import an optional package.

    :raises MissingDependencyError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(name, f'pip install {name}') from error
