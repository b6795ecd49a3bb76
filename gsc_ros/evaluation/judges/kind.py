"""What the evaluation knows about a judge: how it is loaded, checked, read and written."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Of a decoded picture and its original, both (H, W, 3) uint8; NaN where there is nothing to judge.
Measure = Callable[[np.ndarray, np.ndarray], float]


Load = Callable[[str, int], Measure]    # from a torch device and a number of threads


def ready(measure: Measure) -> Load:
    """Load a measure that needs no weights."""
    return lambda device, threads: measure


def nothing_missing() -> None:
    """Check a judge that needs no more than the package itself."""


@dataclass(frozen=True)
class JudgeKind:
    """
    A judge of decoded pictures.

    :param name: key in rows and on the command line.
    :param title: what tables call it.
    :param better: 1 where more is better, -1 where less is.
    :param digits: after the point, in tables.
    :param load: makes the measure.
    :param check: raises MissingDependencyError if what it needs is not there; loads no weights.
    :param note: what a reader must know.
    :param trained_on: whether shipped weights were trained to please it: no independent judge.
    :param curve: whether its rate curves may be compared by Bjøntegaard deltas.
    :param headline: rank among those in which "at equal ..." is said, from 1; 0 for never.
    """

    name: str
    title: str
    better: int
    digits: int
    load: Load
    check: Callable[[], object] = nothing_missing
    note: str = ''
    trained_on: bool = False
    curve: bool = True
    headline: int = 0
