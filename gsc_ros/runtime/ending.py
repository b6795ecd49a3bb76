"""How a process ends: at its first signal, and without the interpreter's clean-up."""
from __future__ import annotations

from contextlib import suppress
import logging
import os
import sys
from types import FrameType
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """
    End at once, with all output written.

    Not by ``sys.exit``: while the interpreter is taken down, threads of torch and of the
    middleware still run, and such a process hangs or is killed by a signal now and then.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


class FirstSignal:
    """Signal handler: raises KeyboardInterrupt at the first signal, does nothing at others."""

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._seen:
            self._seen = True
            raise KeyboardInterrupt
