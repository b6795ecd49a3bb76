"""A process set up to run networks beside others; ``bench/processes.py`` measures its worth."""
from __future__ import annotations

import ctypes
import os

# glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 << 20     # what glibc still takes from its heap at most
_KEPT = 256 << 20
_SPINS = '8000'         # half a millisecond: longer than what lies between two layers


def spin_briefly() -> None:
    """
    Let waiting OpenMP threads spin for the gap between two layers, then leave the core to others.

    By default they spin for 15 ms. Must come before torch is loaded; what the environment says of
    it stands.
    """
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ.setdefault('GOMP_SPINCOUNT', _SPINS)


def keep_freed_memory() -> bool:
    """
    Keep up to 256 MiB that this process has freed, rather than give it back and ask again.

    Blocks of up to 32 MiB come from the heap. Otherwise each picture's feature maps are new
    pages, which the system has to clear one by one.

    :returns: False where the C library is not glibc; nothing has changed there.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    # either ends the adaptation that glibc does by itself
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
