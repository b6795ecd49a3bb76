"""The picture coders that a packet may name: a file, a ``CoderId`` and a line here each."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.coder import PictureCoder
from gsc_ros.codec.hevc.coder import HevcCoder

AUTO = 'auto'


@dataclass(frozen=True)
class Registered:
    """A coder's wire id, its name in parameters and on the command line, and how to load it."""

    coder_id: CoderId
    name: str
    load: Callable[[str], PictureCoder]
    """Takes a torch device; raises CheckpointError where weights are missing."""


def _load_learned(device: str) -> PictureCoder:
    # torch takes seconds to import: only those who need it do
    from gsc_ros.models.learned_coder import LearnedCoder
    return LearnedCoder.load(device)


CODERS = (
    Registered(CoderId.LEARNED, 'learned', _load_learned),
    Registered(CoderId.HEVC, 'hevc', lambda device: HevcCoder()),
)
NAMES = (AUTO, *(coder.name for coder in CODERS))
BY_NAME = {coder.name: coder for coder in CODERS}
BY_ID = {coder.coder_id: coder for coder in CODERS}
