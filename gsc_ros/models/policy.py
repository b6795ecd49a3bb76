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
    Rates, in bits per pixel of the latent, that switch coder and generation.

    ``learned_below``: the learned coder codes below this rate, HEVC from it on.
    ``generate_below``: regenerated pictures are the default output below this rate.
    """

    learned_below: float
    generate_below: float

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
