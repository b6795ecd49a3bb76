"""
Where the shipped weights lie.

Imports nothing, so that whoever needs no network does not load torch.
"""
from __future__ import annotations

from pathlib import Path
from typing import Final

ASSETS = Path(__file__).resolve().parent.parent / 'assets'
AUTOENCODER_FILE = ASSETS / 'autoencoder.safetensors'
TRANSFORM_FILE = ASSETS / 'learned.safetensors'
CONTEXT_FILE = ASSETS / 'learned_context.safetensors'
PRIOR_FILE = ASSETS / 'prior.safetensors'
EMBEDDED: Final = 'embedded'    # names the prior of that file
