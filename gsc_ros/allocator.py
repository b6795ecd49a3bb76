"""The C library's allocator, set up for networks: memory is kept from picture to picture."""
from __future__ import annotations

import ctypes

# glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 32 << 20     # what glibc still takes from its heap at most
_KEPT = 256 << 20


def keep_freed_memory() -> bool:
    """
    Keep up to 256 MiB that this process has freed, rather than give it back and ask again.

    Blocks of up to 32 MiB come from the heap. Otherwise each picture's feature maps are new
    pages, which the system has to clear one by one; ``bench/processes.py`` shows what that costs.

    :returns: False where the C library is not glibc; nothing has changed there.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    # either ends the adaptation that glibc does by itself
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
