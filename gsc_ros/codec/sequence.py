"""Sequence numbers of 16 bits, which wrap."""
from __future__ import annotations

SEQUENCES = 1 << 16


def distance(sequence: int, earlier: int) -> int:
    """Return the steps from ``earlier`` to ``sequence``, 0..65535."""
    return (sequence - earlier) % SEQUENCES
