"""
Pictures predicted from one that both ends hold: H.265 P slices between pictures of our packets.

docs/BITSTREAM.md, section 8, has the byte layout and what the encoder's rules were measured on.
"""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import BudgetError
from gsc_ros.codec.hevc.alone import coded_size, finest, MIN_QP, Trials
from gsc_ros.codec.hevc.headers import MAX_QP
from gsc_ros.codec.hevc.streams import decode_inter, decode_planes, encode_inter, same
from gsc_ros.codec.references import Reference
from gsc_ros.codec.resample import enlarge, Planes
import numpy as np

# A chain may get this many quantiser steps sharper than the picture that it started from: a still
# scene is refined and then costs next to nothing, instead of its noise being coded for ever.
REFINEMENT = 6
_START = 2          # steps below the reference's where the search starts
_PER_HALVING = 4    # quantiser steps that halve the bytes of a predicted picture
_ENOUGH = 0.8       # share of the bytes from which no finer quantiser is tried
# A picture whose blocks would cost less than this share on their own can be shrunk less.
_SIMPLER = 0.7
# One decibel is worth ten times the bytes: a picture on its own is paid once, later ones profit.
_PRICE = 0.1


@dataclass(frozen=True)
class Made:
    """A coded picture, what the base station will decode, and what it was coded from, if that."""

    coded: Coded
    planes: Planes
    parent: Reference | None


def encode_next(trials: Trials, reference: Reference | None, max_bytes: int) -> Made:
    """
    Code a picture from ``reference`` or on its own, whichever is better.

    The two ways have their own ceilings, as what else the packet holds differs. Only a picture
    on its own has a smooth background for the sake of a focus: predicted ones sharpen it.

    :param trials: of the picture on its own; those for one reference serve the next.
    :param max_bytes: of the picture coded from the reference.
    :raises BudgetError: if neither fits.
    """
    if reference is None:
        return _alone(trials)
    try:
        predicted, qp = _predicted(reference, trials.planes(reference.quality), max_bytes)
    except BudgetError:
        return _alone(trials)
    if _surely_better(qp, reference, trials):
        return predicted
    try:
        alone = _alone(trials)
    except BudgetError:
        return predicted
    return min(predicted, alone, key=lambda made: _demerit(made, trials.picture))


def _alone(trials: Trials) -> Made:
    coded = trials.best()
    size = coded_size(trials.width, trials.height, coded.quality)
    return Made(coded, decode_planes(coded.data, *size), None)


def _predicted(reference: Reference, planes: Planes, max_bytes: int) -> tuple[Made, int]:
    """
    Code the planes of a picture, shrunk as the reference; also returns the quantiser.

    The finest that fits is taken, at most ``REFINEMENT`` steps below the chain's root.

    :raises BudgetError: if none fits.
    """
    latents: dict[int, bytes] = {}

    def fill(qp: int) -> float:
        latents[qp] = encode_inter(reference.planes, planes, qp)
        return (len(latents[qp]) + 1) / max(max_bytes + 1, 0.5)

    qp = finest(fill, _floor(reference), MAX_QP + 1, reference.qp - _START,
                per_halving=_PER_HALVING, enough=_ENOUGH)
    if qp > MAX_QP:
        raise BudgetError(max_bytes, len(latents[MAX_QP]))
    decoded, latent = decode_from(reference, latents[qp]), latents[qp]
    if same(decoded, reference.planes):
        latent = b''    # which says so
    return Made(Coded(reference.quality, latent), decoded, reference), qp


def decode_from(reference: Reference, latent: bytes) -> Planes:
    """
    Planes of a latent, without its check, that was made from ``reference``.

    :raises PacketError: if they cannot be decoded.
    """
    return decode_inter(reference.planes, latent) if latent else reference.planes


def _floor(reference: Reference) -> int:
    return max(reference.root_qp - REFINEMENT, MIN_QP)


def _surely_better(qp: int, reference: Reference, alone: Trials) -> bool:
    """Whether it is sharp, and on its own the picture could not be shrunk less."""
    return (qp <= _floor(reference) + 1
            and alone.fill(reference.quality, reference.root_qp) > _SIMPLER)


def _demerit(made: Made, picture: np.ndarray) -> float:
    """Mean squared error of the enlarged picture, weighted by what it costs."""
    return float(squared_error(made.planes, picture) * len(made.coded.data) ** _PRICE)


def squared_error(planes: Planes, picture: np.ndarray) -> float:
    """Mean squared error of planes, enlarged, against a picture (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    difference: np.ndarray = enlarge(planes, width, height) - picture.astype(np.float32)
    return float(np.square(difference).mean())
