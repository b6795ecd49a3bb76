"""The families of stock models that we know, and which one a folder holds."""
from __future__ import annotations

import json
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError, GscError
from gsc_ros.prior.stock.family import Family
from gsc_ros.prior.stock.flux import Flux
from gsc_ros.prior.stock.flux2 import Flux2Klein
from gsc_ros.prior.stock.sd3 import StableDiffusion3
from gsc_ros.prior.stock.z_image import ZImage

FAMILIES: dict[str, type[Family]] = {
    family.pipeline: family for family in (Flux, Flux2Klein, StableDiffusion3, ZImage)}
INDEX = 'model_index.json'


class UnknownPriorError(GscError):
    """The model is of no family that we know; names those that work."""

    def __init__(self, source: object, found: object) -> None:
        works = ', '.join(sorted(FAMILIES))
        super().__init__(f'prior {source} is a {found}; models that work: {works}')


def family_of(folder: Path) -> type[Family]:
    """
    Find the family of a folder as diffusers' ``save_pretrained`` writes it.

    :raises CheckpointError: if it holds no readable model_index.json.
    :raises UnknownPriorError: if its pipeline is of no family that we know.
    """
    index = read_index(folder)
    found = index.get('_class_name')
    if found not in FAMILIES:
        raise UnknownPriorError(folder, found)
    return FAMILIES[found]


def read_index(folder: Path) -> dict[str, object]:
    """
    Read what a pipeline's folder says of its components.

    :raises CheckpointError: if it holds no readable model_index.json.
    """
    file = folder / INDEX
    try:
        index = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(file, f'cannot be read ({error}); a prior is a folder as diffusers '
                              'saves it, or a model that `gsc fetch-prior` brought') from error
    if not isinstance(index, dict):
        raise CheckpointError(file, 'is not a table of components')
    return index
