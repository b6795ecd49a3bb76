"""
Parity fragments: any ``count`` of a picture's fragments rebuild it.

Reed-Solomon erasure code by zfec (L. Rizzo, "Effective Erasure Codes for Reliable Computer
Communication Protocols", 1997): systematic, over GF(256). A parity fragment does not depend on
how many others there are.
"""
from __future__ import annotations

from functools import lru_cache
import math
from types import ModuleType
from typing import Literal

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError

Mode = Literal['off', 'on', 'adaptive']
MODES: tuple[Mode, ...] = ('off', 'on', 'adaptive')
MAX_FRAGMENTS = 255
# Parity fragments per fragment when always on.
SHARE = 0.25
# Adaptive: enough parity that a picture fails this seldom at the measured loss, at most as many
# as fragments; none at losses that cost fewer pictures than parity would.
FAILURES = 0.05
LEAST_LOSS = 0.01


@lru_cache(maxsize=1)
def _zfec() -> ModuleType:
    try:
        import zfec
    except ImportError as error:
        raise MissingDependencyError('zfec', 'pip install zfec') from error
    return zfec


def available() -> bool:
    """Tell whether the library is installed; without it only whole sets of fragments join."""
    try:
        return bool(_zfec())
    except MissingDependencyError:
        return False


def check(mode: Mode) -> None:
    """Raise InvalidInputError for an unknown mode, MissingDependencyError for one without zfec."""
    if mode not in MODES:
        raise InvalidInputError('fec', mode, MODES)
    if mode != 'off':
        _zfec()


def parity_count(mode: Mode, fragments: int, loss: float) -> int:
    """Return how many parity fragments to send with ``fragments`` (1..255) at ``loss`` (0..1)."""
    most = min(fragments, MAX_FRAGMENTS - fragments)
    if mode == 'off' or fragments == 1:
        return 0
    if mode == 'on':
        return min(most, math.ceil(SHARE * fragments))
    return 0 if loss < LEAST_LOSS else _enough(fragments, most, round(min(loss, 0.5), 2))


@lru_cache(maxsize=1024)
def _enough(fragments: int, most: int, loss: float) -> int:
    return next((parity for parity in range(most)
                 if _failure(fragments, parity, loss) <= FAILURES), most)


def _failure(fragments: int, parity: int, loss: float) -> float:
    """Probability that more than ``parity`` of all are lost, each by itself."""
    total = fragments + parity
    return 1 - sum(math.comb(total, lost) * loss ** lost * (1 - loss) ** (total - lost)
                   for lost in range(parity + 1))


def encode(blocks: list[bytes], parity: int) -> list[bytes]:
    """Return ``parity`` blocks for the given ones, all of one size."""
    if not parity:
        return []
    count = len(blocks)
    return list(_zfec().Encoder(count, count + parity).encode(
        blocks, list(range(count, count + parity))))


def decode(blocks: dict[int, bytes], count: int) -> list[bytes]:
    """Return the ``count`` data blocks from any ``count`` of all, given by index."""
    if all(index in blocks for index in range(count)):
        return [blocks[index] for index in range(count)]
    # zfec wants every data block that is there at its own place.
    parity = (index for index in sorted(blocks) if index >= count)
    indices = [index if index in blocks else next(parity) for index in range(count)]
    decoder = _zfec().Decoder(count, max(indices) + 1)
    return list(decoder.decode([blocks[index] for index in indices], indices))
