"""How a stock prior is loaded and run; every default stands here."""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.codec.errors import InvalidInputError

WEIGHTS = FULL, INT8, INT4 = 'full', 'int8', 'int4'
# Of the large components, with the scales of each block; full depends on the device.
BYTES_PER_PARAMETER = {INT8: 1.02, INT4: 0.56}
_MAX_STEPS = 64
_MAX_GUIDANCE = 30.0


@dataclass(frozen=True)
class StockSettings:
    """
    Settings of one stock prior.

    :param steps: of the solver, 1..64; None: what the model was made for.
    :param start: time at which the flow starts, above 0 up to 1 (pure noise); None: from the
        rate of the packet.
    :param consistency: how strongly each step is pulled to what was sent, 0 (off) to 1.
    :param gradient_steps: 0 pulls without gradients; from 1 on so many gradient steps through the
        decoder of the model at each step of the flow, 0..20.
    :param guidance: strength of the text, 1..30; None: what the model was made for.
    :param weights: ``full`` (bfloat16 on an accelerator, float32 on a CPU), ``int8`` or ``int4``.
    :param offload: keep on the accelerator only the part of the model that works.
    :param tiling: decode big pictures in tiles, and the pictures of a batch one by one.
    :param compile: compile the transformer; the first picture of a size takes minutes.
    """

    steps: int | None = None
    start: float | None = None
    consistency: float = 1.0
    gradient_steps: int = 0
    guidance: float | None = None
    weights: str = FULL
    offload: bool = False
    tiling: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check('steps', self.steps, 1, _MAX_STEPS)
        _check('start', self.start, 1e-6, 1)
        _check('consistency', self.consistency, 0, 1)
        _check('gradient_steps', self.gradient_steps, 0, 20)
        _check('guidance', self.guidance, 1, _MAX_GUIDANCE)
        if self.weights not in WEIGHTS:
            raise InvalidInputError('weights', self.weights, ', '.join(WEIGHTS))


def _check(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidInputError(name, value, f'{low:g}..{high:g}')
