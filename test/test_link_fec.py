"""Parity: how much of it, and that it rebuilds what is lost."""
from __future__ import annotations

import itertools
import random

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire import fec
from gsc_ros.link.wire.datagrams import Kind
from gsc_ros.link.wire.fragments import Reassembly, split
from hypothesis import given
from hypothesis import strategies as st
import pytest

pytestmark = pytest.mark.skipif(not fec.available(), reason='zfec is not installed')


@given(st.integers(2, 12), st.integers(1, 8), st.randoms())
def test_any_count_of_the_fragments_rebuild_the_blob(count: int, parity: int,
                                                     chance: random.Random) -> None:
    blob = chance.randbytes(count * 20 - 1)
    pieces = split(blob, 20, 1, parity)
    assert len(pieces) == count + parity
    kept = chance.sample(pieces, count)
    joined = Reassembly()
    got = [joined.add(Kind.DATA, 0, *piece, inside=False, now_ns=0) for piece in kept]
    assert got[:-1] == [None] * (count - 1)
    assert got[-1] == blob


def test_parity_does_not_depend_on_how_much_there_is() -> None:
    blocks = [bytes([value]) * 9 for value in range(5)]
    assert fec.encode(blocks, 6)[:2] == fec.encode(blocks, 2)


def test_without_the_library_whole_sets_still_join(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = split(bytes(range(100)), 20, 1, 2)
    monkeypatch.setattr(fec, 'available', lambda: False)
    joined = Reassembly()
    got = [joined.add(Kind.DATA, 0, *piece, inside=False, now_ns=0)
           for piece in pieces[::-1]]
    assert got[-1] == bytes(range(100))


def test_off_sends_none_and_one_fragment_needs_none() -> None:
    assert {fec.parity_count('off', count, 0.5) for count in range(1, 256)} == {0}
    assert {fec.parity_count(mode, 1, 0.5) for mode in fec.MODES} == {0}


def test_on_is_a_quarter() -> None:
    assert [fec.parity_count('on', count, 0.0) for count in (2, 4, 5, 8, 255)] == [1, 1, 2, 2, 0]


def test_adaptive_follows_the_loss_within_bounds() -> None:
    for count in (2, 5, 16, 100, 200, 254):
        counts = [fec.parity_count('adaptive', count, loss)
                  for loss in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.9)]
        assert counts == sorted(counts)
        assert counts[0] == 0
        assert counts[-1] <= min(count, 255 - count)


@pytest.mark.parametrize(('count', 'loss'), itertools.product((3, 8, 20), (0.05, 0.2)))
def test_adaptive_parity_keeps_failures_below_what_it_promises(count: int, loss: float) -> None:
    total = count + fec.parity_count('adaptive', count, loss)
    chance = random.Random(count)
    failed = sum(sum(chance.random() < loss for _ in range(total)) > total - count
                 for _ in range(3000))
    assert failed / 3000 < 1.3 * fec.FAILURES


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidInputError, match='fec'):
        fec.check('sometimes')  # type: ignore[arg-type]
