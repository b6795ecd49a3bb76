"""One short line about a picture: from its objects, or by an image-to-text model."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, MissingDependencyError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.models.network import unreachable
from gsc_ros.models.torchvision_shim import import_torchvision
from gsc_ros.scene.words import scene_words
import numpy as np

MAX_CHARACTERS = 60
SCENE = 'scene'
_NEW_TOKENS = 20     # enough for 60 characters
_TASKS = {'florence2': '<CAPTION>', 'smolvlm': 'Describe the picture in one short sentence.',
          'idefics3': 'Describe the picture in one short sentence.'}

_PLURALS = {'person': 'people', 'sheep': 'sheep', 'mouse': 'mice', 'knife': 'knives',
            'skis': 'skis', 'scissors': 'scissors'}


class Captioner(Protocol):
    """Describes pictures."""

    def describe(self, picture: np.ndarray, objects: Sequence[SceneObject]) -> str:
        """Say in at most 60 characters what a uint8 picture (H, W, 3) RGB shows."""


def load_captioner(source: str = SCENE, device: str = 'cpu') -> Captioner:
    """
    Load a captioner.

    :param source: ``scene``, or the folder or hub id of a transformers image-to-text model
        (BLIP, Florence-2, SmolVLM class).
    :param device: as torch names it; ``scene`` needs none.
    :raises CheckpointError: if the model is neither on disk nor reachable.
    :raises MissingDependencyError: if transformers is not installed.
    """
    return SceneCaptioner() if source == SCENE else ModelCaptioner(source, device)


class SceneCaptioner:
    """Names the objects, the most prominent first, and what simple statistics show."""

    def describe(self, picture: np.ndarray, objects: Sequence[SceneObject]) -> str:
        """Say what is there: ``2 people ahead, car left, outdoors``; at most 60 characters."""
        groups: dict[int, list[SceneObject]] = {}
        for item in objects:
            groups.setdefault(item.class_id, []).append(item)
        ranked = sorted(groups.values(), key=lambda g: (-_prominence(g), g[0].class_id))
        words = [_phrase(group) for group in ranked]
        return _join([*words, *scene_words(picture, alone=not words)])


def _prominence(group: Sequence[SceneObject]) -> float:
    """Size of the biggest object of a class, as a length, times how sure the detector is."""
    return max(o.score * ((o.box[2] - o.box[0]) * (o.box[3] - o.box[1])) ** 0.5 for o in group)


def _phrase(group: Sequence[SceneObject]) -> str:
    """Count, name and, unless they are all over the picture, the side that they are on."""
    name = COCO_NAMES[group[0].class_id]
    counted = name if len(group) == 1 else f'{len(group)} {_plural(name)}'
    centres = [(o.box[0] + o.box[2]) / 2 for o in group]
    if max(centres) - min(centres) > 0.5:
        return counted
    centre = sum(centres) / len(centres)
    return f"{counted} {'left' if centre < 1 / 3 else 'right' if centre > 2 / 3 else 'ahead'}"


def _plural(name: str) -> str:
    if name in _PLURALS:
        return _PLURALS[name]
    return name + ('es' if name.endswith(('s', 'sh', 'ch', 'x')) else 's')


def _join(phrases: Sequence[str]) -> str:
    """Comma-separated phrases, as many from the first on as 60 characters hold."""
    text = ''
    for phrase in phrases:
        longer = f'{text}, {phrase}' if text else phrase
        if len(longer) > MAX_CHARACTERS:
            break
        text = longer
    return text


class ModelCaptioner:
    """A transformers image-to-text model; greedy, so the same picture gives the same text."""

    def __init__(self, source: str, device: str = 'cpu') -> None:
        """
        Load model and processor; see ``load_captioner``.

        Code that comes with a model is never run.
        """
        transformers = _import_transformers()
        hub = os.environ.get('HF_ENDPOINT', 'https://huggingface.co')
        offline = (Path(source).exists() or os.environ.get('HF_HUB_OFFLINE') == '1'
                   or bool(unreachable(hub)))
        try:
            self._processor: Any = transformers.AutoProcessor.from_pretrained(
                source, local_files_only=offline)
            self._model: Any = transformers.AutoModelForImageTextToText.from_pretrained(
                source, local_files_only=offline).eval().to(device)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise CheckpointError(source, f'cannot be loaded as an image-to-text model '
                                  f'({str(error).splitlines()[0]}); give the folder of a '
                                  'downloaded model, or the captioner "scene"') from error
        self._task = _TASKS.get(self._model.config.model_type)
        self._device = device

    def describe(self, picture: np.ndarray, objects: Sequence[SceneObject]) -> str:
        """Say what the model sees in (H, W, 3) uint8, cut at a word to 60 characters."""
        import torch
        if self._task is None:
            inputs = self._processor(images=picture, return_tensors='pt')
        else:
            inputs = self._processor(images=picture, text=self._prompt(), return_tensors='pt')
        with torch.inference_mode():
            tokens = self._model.generate(**inputs.to(self._device), max_new_tokens=_NEW_TOKENS,
                                          do_sample=False, num_beams=1)
        prompt = inputs['input_ids'].shape[1] if self._is_chat() else 0
        (text,) = self._processor.batch_decode(tokens[:, prompt:], skip_special_tokens=True)
        return shorten(text)

    def _is_chat(self) -> bool:
        """Chat models repeat the prompt before their answer."""
        return self._task is not None and not self._task.startswith('<')

    def _prompt(self) -> str:
        if not self._is_chat():
            return str(self._task)
        content = [{'type': 'image'}, {'type': 'text', 'text': self._task}]
        return str(self._processor.apply_chat_template(
            [{'role': 'user', 'content': content}], add_generation_prompt=True))


def _import_transformers() -> ModuleType:
    # transformers runs without torchvision, but not with one that fails to load.
    with suppress(ImportError):
        import_torchvision()
    try:
        return importlib.import_module('transformers')
    except ImportError as error:
        raise MissingDependencyError('transformers', 'pip install transformers') from error


def shorten(text: str, limit: int = MAX_CHARACTERS) -> str:
    """One line of at most ``limit`` characters, cut at a word where there is one."""
    text = ' '.join(text.split()).rstrip('.')
    if len(text) <= limit:
        return text
    head = text[:limit + 1].rsplit(' ', 1)
    return head[0].rstrip(',;:') if len(head) == 2 else text[:limit]
