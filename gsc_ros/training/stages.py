"""From a stage's name and configuration file to a trained and exported checkpoint."""
from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from gsc_ros.codec.context import ContextModel, ContextWeights
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.models import checkpoint
from gsc_ros.models.assets import AUTOENCODER_FILE, CONTEXT_FILE, PRIOR_FILE, TRANSFORM_FILE
from gsc_ros.models.autoencoder import Autoencoder
from gsc_ros.models.captioner import load_captioner
from gsc_ros.models.learned import LearnedTransform
from gsc_ros.models.learned_coder import LearnedCoder
from gsc_ros.models.prior import EmbeddedPrior
from gsc_ros.training.autoencoder import AutoencoderStage
from gsc_ros.training.data import load_pictures
from gsc_ros.training.degrade import Degrader
from gsc_ros.training.labels import Finder, label
from gsc_ros.training.learned import learned_config, LearnedStage
from gsc_ros.training.loop import LoopConfig, read_checkpoint, Stage, train
from gsc_ros.training.prior import PriorStage, Texts
import numpy as np
from safetensors.numpy import save_file
import torch
from torch import nn
import yaml

STAGES = ('autoencoder', 'learned', 'prior')
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

    :raises InvalidInputError: if there is no such stage or its configuration has other keys.
    :raises CheckpointError: if a stage that it builds on has not been trained in ``runs``.
    """
    if name not in STAGES:
        raise InvalidInputError('stage', name, ', '.join(STAGES))
    config = yaml.safe_load((config_file or CONFIGS / f'{name}.yaml').read_text())
    try:
        loop = LoopConfig(**config['loop'])
        torch.set_num_threads(loop.threads)
        stage = _build(name, place, loop, config['stage'])
    except (KeyError, TypeError) as error:
        raise InvalidInputError('configuration', error, 'known keys') from error
    return train(stage, loop, place.runs / name, limit_s=limit_s)


def _shuffled(count: int) -> np.ndarray:
    return np.random.default_rng(_SPLIT_SEED).permutation(count)


def held_out(count: int) -> np.ndarray:
    """Return the indices of the pictures, of so many, that no stage is trained on."""
    return _shuffled(count)[:_HELD_OUT]


def _build(name: str, place: Workplace, loop: LoopConfig, options: dict[str, Any]) -> Stage:
    pictures = load_pictures(place.data)
    chosen, spared = _shuffled(len(pictures))[_HELD_OUT:], held_out(len(pictures))[:_EVALUATED]
    training, evaluation = pictures.select(chosen), pictures.select(spared)
    if name == 'autoencoder':
        return AutoencoderStage(training, evaluation, batch=loop.batch, **options)
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
    model.load_state_dict(read_checkpoint(folder / 'checkpoint.pt', model)['average'])
    model.eval().requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def trained_autoencoder(runs: Path) -> Autoencoder:
    """Averaged weights of stage 1."""
    return _averaged(Autoencoder(), runs / 'autoencoder')  # type: ignore[no-any-return]


def trained_learned_coder(runs: Path, autoencoder: Autoencoder) -> LearnedCoder | None:
    """Coder of stage 2, or None where that stage has not run."""
    if not (runs / 'learned' / 'checkpoint.pt').is_file():
        return None
    transform = _averaged(LearnedTransform(learned_config(autoencoder)), runs / 'learned')
    weights = ContextWeights.from_arrays(transform.context.to_integers())
    return LearnedCoder(autoencoder, transform, ContextModel(weights), 0)


def export(runs: Path) -> list[Path]:
    """Write the averaged weights of every trained stage into the package's assets."""
    written = []
    autoencoder = trained_autoencoder(runs)
    checkpoint.save(autoencoder, autoencoder.config, AUTOENCODER_FILE)
    written.append(AUTOENCODER_FILE)
    learned = trained_learned_coder(runs, autoencoder)
    if learned is not None:
        checkpoint.save(learned.transform, learned.transform.config, TRANSFORM_FILE)
        save_file(learned.transform.context.to_integers(), CONTEXT_FILE)
        CONTEXT_FILE.chmod(0o644)   # safetensors makes private files
        written += [TRANSFORM_FILE, CONTEXT_FILE]
    if (runs / 'prior' / 'checkpoint.pt').is_file():
        prior = _averaged(EmbeddedPrior(), runs / 'prior')
        checkpoint.save(prior, prior.config, PRIOR_FILE)
        written.append(PRIOR_FILE)
    return written
