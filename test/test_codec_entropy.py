"""The range coder: exact, short, the same in every process, and calm about garbage."""

from __future__ import annotations

import os
import subprocess
import sys

from gsc_ros.codec.entropy import Decoder, encode, Tables
from gsc_ros.codec.errors import InvalidInputError, PacketError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest


def random_tables(rng, count, symbols, spread=0.1):
    """Return tables (count, symbols), some flat, some steep."""
    rows = rng.dirichlet(np.full(symbols, spread), count)
    rows = np.maximum(1, np.floor(rows * (65536 - symbols)).astype(np.int64))
    rows[np.arange(count), rows.argmax(1)] += 65536 - rows.sum(1)
    return Tables(rows)


def random_groups(rng, tables, sizes):
    """Symbols drawn from their tables, with a few that the tables find unlikely."""
    groups = []
    for size in sizes:
        indices = rng.integers(0, len(tables.frequencies), size)
        steps = tables.frequencies[indices].cumsum(1)
        symbols = (rng.integers(0, 65536, size)[:, None] >= steps).sum(1)
        odd = rng.random(size) < 0.02
        symbols[odd] = rng.integers(0, tables.symbols, odd.sum())
        groups.append((symbols, indices))
    return groups


def ideal_bytes(groups, tables):
    return sum(-np.log2(tables.frequencies[i, s] / 65536).sum() for s, i in groups) / 8


def assert_decodes(data, groups, tables):
    decoder = Decoder(data, tables)
    for symbols, indices in groups:
        np.testing.assert_array_equal(decoder.read(indices), symbols)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2 ** 32 - 1), st.integers(2, 64), st.integers(1, 12),
       st.lists(st.integers(0, 60), max_size=4))
def test_round_trip(seed, symbols, count, sizes):
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, count, symbols)
    groups = random_groups(rng, tables, sizes)
    data = encode(groups, tables)
    assert len(data) <= ideal_bytes(groups, tables) + 1.1
    assert_decodes(data, groups, tables)


def test_overhead_is_a_third_of_a_byte():
    rng, extra = np.random.default_rng(0), []
    for _ in range(300):
        tables = random_tables(rng, 4, 20)
        groups = random_groups(rng, tables, [60])
        extra.append(len(encode(groups, tables)) - ideal_bytes(groups, tables))
    assert np.mean(extra) < 0.5


def test_no_byte_can_be_left_out():
    rng = np.random.default_rng(1)
    tables = random_tables(rng, 4, 20, spread=1.0)
    groups = random_groups(rng, tables, [50])
    data = encode(groups, tables)
    with pytest.raises((AssertionError, PacketError)):
        assert_decodes(data[:-1], groups, tables)


def test_nothing_takes_no_byte():
    tables = random_tables(np.random.default_rng(0), 1, 5)
    assert encode([], tables) == b''
    assert encode([(np.array([], int), np.array([], int))], tables) == b''


def test_the_bytes_are_pinned():
    # another constriction that quantises otherwise must not pass unseen
    tables = Tables(np.array([[1, 65533, 1, 1], [16384, 16384, 16384, 16384]]))
    groups = [(np.array([1, 2, 1, 0]), np.array([0, 1, 0, 1])),
              (np.array([3, 3, 2, 0]), np.array([0, 1, 1, 0]))]
    assert encode(groups, tables).hex() == '8ffe8db283'


_SCRIPT = """
import sys, numpy as np
from gsc_ros.codec.entropy import Tables, encode
rng = np.random.default_rng(3)
rows = rng.integers(1, 100, (9, 30)); rows[:, 0] += 65536 - rows.sum(1)
indices = rng.integers(0, 9, 4000); symbols = rng.integers(0, 30, 4000)
sys.stdout.buffer.write(encode([(symbols, indices)], Tables(rows)))
"""


def test_the_same_in_other_processes_and_with_other_threads():
    outputs = {subprocess.run([sys.executable, '-c', _SCRIPT], capture_output=True, check=True,
                              env={**os.environ, 'OMP_NUM_THREADS': threads,
                                   'OPENBLAS_NUM_THREADS': threads}).stdout
               for threads in ('1', '2')}
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 2 ** 32 - 1))
def test_garbage_gives_symbols_or_a_packet_error(data, seed):
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, 3, 17)
    decoder = Decoder(data, tables)
    try:
        for _ in range(5):
            symbols = decoder.read(rng.integers(0, 3, 100))
            assert symbols.min() >= 0
            assert symbols.max() < 17
    except PacketError:
        pass


@pytest.mark.parametrize('rows', [
    np.array([[65536, 0]]), np.array([[1, 2]]), np.array([[0.5, 0.5]]), np.array([65535, 1]),
    np.zeros((0, 4), int)])
def test_bad_tables_are_refused(rows):
    with pytest.raises(InvalidInputError, match='frequencies'):
        Tables(rows)


@pytest.mark.parametrize(('symbols', 'indices', 'name'), [
    ([4], [0], 'symbols'), ([-1], [0], 'symbols'), ([0], [1], 'table indices'),
    ([0, 1], [0], 'symbols'), ([0.5], [0], 'symbols')])
def test_bad_symbols_are_refused(symbols, indices, name):
    tables = Tables(np.full((1, 4), 16384))
    with pytest.raises(InvalidInputError, match=name):
        encode([(np.array(symbols), np.array(indices))], tables)
