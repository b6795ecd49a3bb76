"""A short run of the fuzz stage: whatever is read, only typed errors come out."""
from __future__ import annotations

from pathlib import Path
import random
import sys

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'bench'))
import fuzz  # noqa: E402


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', fuzz.KINDS)
def test_only_typed_errors_come_out(name: str) -> None:
    (count,) = fuzz.fuzz([name], 0.5, seed=1)
    assert count.faults == []
    assert count.taken + count.refused >= 4


def test_the_stage_finds_what_it_looks_for() -> None:
    def careless(data: bytes) -> None:
        if len(data) != 3:
            raise ValueError('not 3')
    count = fuzz.run('careless', [b'abc'], careless, 0.05, random.Random(0))
    assert count.taken >= 1 and count.faults
