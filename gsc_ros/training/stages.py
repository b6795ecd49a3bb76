"""From a stage's name and configuration file to a trained and exported checkpoint."""
from __future__ import annotations

from dataclasses import dataclass, fields
import inspect
import math
from pathlib import Path
from typing import Any

from gsc_ros.codec.context import ContextModel, ContextWeights
from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.models import checkpoint
from gsc_ros.models.assets import AUTOENCODER_FILE, CONTEXT_FILE, PRIOR_FILE, TRANSFORM_FILE
from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.learned import LearnedTransform
from gsc_ros.models.learned_coder import LearnedCoder
from gsc_ros.models.yolo import WEIGHTS as DETECTOR_FILE
from gsc_ros.prior.embedded import EmbeddedPrior
from gsc_ros.scene.captioner import load_captioner
from gsc_ros.training import checkpoints
from gsc_ros.training.autoencoder import AutoencoderStage
from gsc_ros.training.data import load_pictures
from gsc_ros.training.degrade import Degrader
from gsc_ros.training.detector import export as detector_export
from gsc_ros.training.labels import Finder, label
from gsc_ros.training.learned import learned_config, LearnedStage
from gsc_ros.training.loop import Stage, train
from gsc_ros.training.mean import MeanStage
from gsc_ros.training.prior import PriorStage, Texts
from gsc_ros.training.schedule import LoopConfig
import numpy as np
from safetensors.numpy import save_file
import torch
from torch import nn
import yaml

STAGES = {'autoencoder': AutoencoderStage, 'learned': LearnedStage, 'mean': MeanStage,
          'prior': PriorStage}
CONFIGS = Path(__file__).parent / 'configs'
_SPLIT_SEED = 7
_HELD_OUT, _EVALUATED = 64, 32


@dataclass(frozen=True)
class Workplace:
    """
    Where the pictures are, where runs are kept, and who labels the objects.

    ``judge`` is the detector's file, which the prior may be trained to please.
    """

    data: Path
    runs: Path
    detector: Finder | None = None
    judge: Path | None = None


def run_stage(name: str, place: Workplace, config_file: Path | None = None,
              limit_s: float = math.inf) -> nn.Module:
    """
    Train a stage (resuming where it stopped, for ``limit_s`` at most); its averaged model.

    :raises InvalidInputError: if there is no such stage, its configuration has other keys, or
        there are too few pictures.
    :raises CheckpointError: if a stage that it builds on has not been trained in ``runs``.
    """
    if name not in STAGES:
        raise InvalidInputError('stage', name, ', '.join(STAGES))
    config = yaml.safe_load((config_file or CONFIGS / f'{name}.yaml').read_text())
    loop = LoopConfig(**_known(config, 'loop', {f.name for f in fields(LoopConfig)}))
    options = _known(config, 'stage', {p.name for p in inspect.signature(
        STAGES[name]).parameters.values() if p.kind == p.KEYWORD_ONLY} - {'batch', 'judge'})
    torch.set_num_threads(loop.threads)
    stage = _build(name, place, loop, options)
    return train(stage, loop, place.runs / name, limit_s=limit_s)


def _known(config: Any, part: str, allowed: set[str]) -> dict[str, Any]:
    """Take a part of a configuration, if it is there and has no other keys."""
    values = config.get(part) if isinstance(config, dict) else None
    if not isinstance(values, dict) or not set(values) <= allowed:
        raise InvalidInputError(f'{part} of the configuration', values, ', '.join(sorted(allowed)))
    return values


def _shuffled(count: int) -> np.ndarray:
    return np.random.default_rng(_SPLIT_SEED).permutation(count)


def held_out(count: int) -> np.ndarray:
    """Return the indices of the pictures, of so many, that no stage is trained on."""
    return _shuffled(count)[:_HELD_OUT]


def _build(name: str, place: Workplace, loop: LoopConfig, options: dict[str, Any]) -> Stage:
    pictures = load_pictures(place.data)
    if len(pictures) <= _HELD_OUT:
        raise InvalidInputError('pictures', len(pictures), f'more than {_HELD_OUT}: so many are '
                                'held out')
    chosen, spared = _shuffled(len(pictures))[_HELD_OUT:], held_out(len(pictures))[:_EVALUATED]
    training, evaluation = pictures.select(chosen), pictures.select(spared)
    if name == 'autoencoder':
        return AutoencoderStage(training, evaluation, batch=loop.batch, **options)
    if name == 'mean':
        return MeanStage(training, evaluation, batch=loop.batch, judge=place.judge, **options)
    autoencoder = trained_autoencoder(place.runs)
    if name == 'learned':
        return LearnedStage(autoencoder, training, evaluation, batch=loop.batch, **options)
    objects = label(pictures, place.detector, place.runs / 'labels.jsonl')
    captioner = load_captioner()
    learned = trained_learned_coder(place.runs, autoencoder)
    return PriorStage(
        autoencoder, training, Texts([objects[i] for i in chosen], captioner), evaluation,
        Texts([objects[i] for i in spared], captioner), Degrader(learned), batch=loop.batch,
        judge=place.judge, **options)


def _averaged(model: nn.Module, folder: Path) -> Any:
    model.load_state_dict(checkpoints.read_checkpoint(
        folder / checkpoints.FILE, model)['average'])
    model.eval().requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def trained_autoencoder(runs: Path) -> Autoencoder:
    """Averaged weights of stage 1."""
    return _averaged(Autoencoder(), runs / 'autoencoder')  # type: ignore[no-any-return]


def trained_learned_coder(runs: Path, autoencoder: Autoencoder) -> LearnedCoder | None:
    """Coder of stage 2, or None where that stage has not run."""
    if not (runs / 'learned' / checkpoints.FILE).is_file():
        return None
    transform = _averaged(LearnedTransform(learned_config(autoencoder)), runs / 'learned')
    weights = ContextWeights.from_arrays(transform.context.to_integers())
    return LearnedCoder(autoencoder, transform, ContextModel(weights), 0)


def export(runs: Path) -> list[Path]:
    """
    Write the averaged weights of every trained stage into the package's assets.

    :raises CheckpointError: if none is trained, or one does not fit.
    """
    written = []
    trained = {name for name in (*STAGES, 'detector')
               if (runs / name / checkpoints.FILE).is_file()}
    if not trained:
        raise CheckpointError(runs, 'holds no trained stage; run `gsc train autoencoder` first')
    if trained & {'autoencoder', 'learned'}:
        autoencoder = trained_autoencoder(runs)
        checkpoint.save(autoencoder, autoencoder.config, AUTOENCODER_FILE)
        written.append(AUTOENCODER_FILE)
    if 'learned' in trained:
        transform = _averaged(LearnedTransform(learned_config(autoencoder)), runs / 'learned')
        checkpoint.save(transform, transform.config, TRANSFORM_FILE)
        save_file(transform.context.to_integers(), CONTEXT_FILE)
        CONTEXT_FILE.chmod(0o644)   # safetensors makes private files
        written += [TRANSFORM_FILE, CONTEXT_FILE]
    if 'prior' in trained:
        prior = _averaged(EmbeddedPrior(), runs / 'prior')
        checkpoint.save(prior, prior.config, PRIOR_FILE)
        written.append(PRIOR_FILE)
    if 'detector' in trained:
        detector_export.export(runs / 'detector')
        written.append(DETECTOR_FILE)
    return written
