"""
Names of codecs as ``gsc evaluate --codecs`` takes them.

Ours is written gsc[-CODER][-notext][-nofocus][-plain | -generated | -stepsN]; those of the peers
are in ``peers.registry``.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import re

from gsc_ros import coders
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.peers.registry import BY_DEFAULT, PEERS
from gsc_ros.receiver import View

DEFAULT, PLAIN, GENERATED = 'default', 'plain', 'generated'
_CODERS = '|'.join(coders.NAMES)
_OURS = re.compile(rf'gsc(?:-({_CODERS}))?(-notext)?(-nofocus)?'
                   r'(?:-(plain|generated)|-steps(\d+))?')
OURS_WRITTEN = f'gsc[-{_CODERS.replace("|", "|-")}][-notext][-nofocus][-plain|-generated|-stepsN]'
DEFAULT_CODECS = ('gsc', 'gsc-plain', *BY_DEFAULT)


@dataclass(frozen=True)
class OurCodec:
    """What a name such as ``gsc-hevc-notext-steps4`` means: how we encode and decode."""

    name: str
    coder: str      # of ``coders.NAMES``
    text: bool      # whether packets carry caption and objects
    output: str     # DEFAULT, PLAIN or GENERATED
    steps: int | None = None
    focus: bool = True      # whether the objects are coded more finely than the rest

    @property
    def packing(self) -> tuple[str, bool, bool]:
        """What decides the packets' bytes: names with the same packing share their packets."""
        return self.coder, self.text, self.focus

    @property
    def view(self) -> View:
        """How the base station decodes the packets."""
        return View({DEFAULT: None, PLAIN: False, GENERATED: True}[self.output], self.steps)

    @property
    def describes(self) -> bool:
        """Whether the encoder needs a caption and objects of the picture."""
        return self.text or self.focus


def parse_codec(name: str) -> OurCodec | None:
    """Read a name of ours; None for a peer's or an unknown one."""
    match = _OURS.fullmatch(name)
    if match is None:
        return None
    coder, notext, nofocus, output, steps = match.groups()
    return OurCodec(name, coder or coders.AUTO, not notext,
                    GENERATED if steps else output or DEFAULT,
                    int(steps) if steps else None, not nofocus)


def check_codecs(names: Sequence[str]) -> None:
    """
    Check that there are names and that all are known.

    :raises InvalidInputError: otherwise, listing the names.
    """
    unknown = [name for name in names if parse_codec(name) is None and name not in PEERS]
    if unknown or not names:
        raise InvalidInputError('--codecs', ', '.join(unknown) or 'empty',
                                ', '.join((OURS_WRITTEN, *PEERS)))
