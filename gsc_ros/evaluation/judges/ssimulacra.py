"""SSIMULACRA2 (Sneyers, 2023): structure, lost edges and new ones in a perceptual colour space."""
from __future__ import annotations

import importlib
import importlib.util
import io

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.evaluation.judges.kind import JudgeKind, Measure
from gsc_ros.evaluation.judges.metrics import check_pair
import numpy as np
from PIL import Image

# Its coarsest of six scales halves five times; 8 pixels are what its reference accepts.
_MIN_SIDE = 8


def check() -> None:
    """
    See to it that the package is there.

    :raises MissingDependencyError: otherwise.
    """
    if importlib.util.find_spec('ssimulacra2') is None:
        raise MissingDependencyError('ssimulacra2', 'pip install ssimulacra2==0.3.0')


def load(device: str, threads: int) -> Measure:
    """
    Make the measure; it runs on the CPU, in one thread.

    :raises MissingDependencyError: as ``check``.
    """
    check()
    score = importlib.import_module('ssimulacra2').compute_ssimulacra2

    def ssimulacra2(picture: np.ndarray, reference: np.ndarray) -> float:
        """Score up to 100 for equal pictures; 30 is poor, very poor ones are below 0."""
        check_pair(picture, reference)
        if min(picture.shape[:2]) < _MIN_SIDE:
            raise InvalidInputError('picture side', min(picture.shape[:2]),
                                    f'at least {_MIN_SIDE}')
        return float(score(_file(reference), _file(picture)))
    return ssimulacra2


def _file(picture: np.ndarray) -> io.BytesIO:
    """Wrap a picture for a package that reads files only."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, 'PPM')
    file.seek(0)
    return file


KIND = JudgeKind('ssimulacra2', 'SSIMULACRA2', 1, 1, load, check, headline=4)
