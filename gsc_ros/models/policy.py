"""What wins at which rate: measured on validation pictures, kept in one file."""
from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.models.assets import ASSETS

POLICY_FILE = ASSETS / 'policy.json'


@dataclass(frozen=True)
class Policy:
    """
    Where coder and generation switch; rates are in bits per pixel of the latent.

    ``learned_below``: the learned coder codes below this rate, HEVC from it on.
    ``generate_below``: regenerated pictures are the default output below this rate, and
    ``generate_from_downscale``: where they were shrunk by so many sixteenths of an octave. A
    picture that has all its pixels has lost little, however few bytes it took: a flat scene, or
    one that has stood still for a while.
    """

    learned_below: float
    generate_below: float
    generate_from_downscale: int

    @property
    def coders(self) -> tuple[str, ...]:
        """Names of the coders that win at some rate."""
        return ('learned', 'hevc') if self.learned_below > 0 else ('hevc',)

    def best_coder(self, bpp: float) -> str:
        """Name of the coder that wins at a rate; the others serve where it does not fit."""
        return 'learned' if bpp < self.learned_below else 'hevc'

    @classmethod
    def load(cls, path: Path = POLICY_FILE) -> Policy:
        """
        Read the shipped policy.

        :raises CheckpointError: if the file is missing or damaged.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(path, str(error)) from error
