"""A process set up to run networks beside others; ``bench/processes.py`` measures its worth."""
from __future__ import annotations

import ctypes
import os

# glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 << 20     # what glibc still takes from its heap at most
_KEPT = 256 << 20
_SPINS = '8000'         # half a millisecond: longer than what lies between two layers
_FEW_CPUS = 2


def share_cpus() -> None:
    """
    Let OpenMP threads that wait for work leave their CPU to other processes, by default soon.

    By themselves they spin for 15 ms. On two CPUs they sleep at once: a node alone then takes 1.2
    (generation) to 2 times as long (detection) as with spinning, but in the demo, where several
    run networks, 0.7 to 0.8 times. On more they first spin for the gap between two layers
    (measured on two only: 1.0 to 1.2 times as long as spinning on). Must come before torch is
    loaded; what the environment says of it stands.
    """
    if not {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & set(os.environ):
        few = (os.cpu_count() or 1) <= _FEW_CPUS
        os.environ.update({'OMP_WAIT_POLICY': 'PASSIVE'} if few else {'GOMP_SPINCOUNT': _SPINS})


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
