"""How far a stock model's flow goes back before it starts: the fewer bits, the further."""
from __future__ import annotations

import math

import numpy as np

# Bits per pixel, and t0 = e / (1 + e) there, e being the error of the plain picture's latent in
# deviations of natural latents: the time from which on noise covers what coding did. Measured in
# FLUX.2's latent space (bench/stock_latent.py start); where the flow of a model with real weights
# does best has not been measured.
_RATES = (0.005, 0.01, 0.02, 0.04, 0.08)
_TIMES = (0.544, 0.540, 0.529, 0.518, 0.502)


def start_time(bpp: float) -> float:
    """Time for a packet of that rate, between the measured ones by its logarithm."""
    octaves = [math.log2(rate) for rate in _RATES]
    return float(np.interp(math.log2(max(bpp, _RATES[0])), octaves, _TIMES))
