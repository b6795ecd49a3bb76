"""Fragments: any order, doubles, wraps, losses within the parity; bounded memory."""
from __future__ import annotations

import random

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire import fragments
from gsc_ros.link.wire.datagrams import Fragment, Kind, LinkError
from gsc_ros.link.wire.fragments import Reassembly, split
from hypothesis import given
from hypothesis import strategies as st
import pytest


def add(joined: Reassembly, piece: tuple[Fragment, bytes], *, stream: int = 0,
        now_ns: int = 0) -> bytes | None:
    return joined.add(Kind.DATA, stream, *piece, inside=False, now_ns=now_ns)


@given(st.binary(min_size=60, max_size=3000), st.integers(30, 400), st.randoms())
def test_fragments_join_in_any_order_once(blob: bytes, room: int,
                                          chance: random.Random) -> None:
    pieces = split(blob, room, 5, 0)
    assert all(len(payload) <= room for _, payload in pieces)
    twice = pieces * 2
    chance.shuffle(twice)
    joined = Reassembly()
    got = [whole for piece in twice if (whole := add(joined, piece)) is not None]
    if len(pieces) > 1:
        assert got == [blob]
        assert joined.held == 0


@pytest.mark.parametrize('ending', [b'\0\0\0', b'\x80', b'\x80\0', b'x'])
def test_what_a_blob_ends_with_does_not_matter(ending: bytes) -> None:
    for length in range(100, 110):
        blob = (b'y' * length) + ending
        joined = Reassembly()
        got = [add(joined, piece) for piece in split(blob, 40, 0, 0)]
        assert got[-1] == blob


def test_group_numbers_wrap() -> None:
    joined = Reassembly()
    for number in range(600):
        blob = number.to_bytes(2, 'little') * 40
        got = [add(joined, piece) for piece in split(blob, 50, number % 256, 0)]
        assert got[-1] == blob


def test_an_older_unfinished_picture_of_the_same_number_is_replaced() -> None:
    joined = Reassembly()
    add(joined, split(bytes(80), 40, 9, 0)[0])
    pieces = split(b'new' * 50, 40, 9, 0)
    assert [add(joined, piece) for piece in pieces][-1] == b'new' * 50
    assert joined.given_up == 1


def test_memory_is_bounded_by_groups_bytes_and_age() -> None:
    joined = Reassembly()
    chance = random.Random(0)
    for step in range(20_000):
        count = chance.randint(2, 255)
        size = chance.randint(1, 65_000 // count)
        place = Fragment(chance.randrange(256), chance.randrange(count), count)
        add(joined, (place, bytes(size)), stream=chance.randrange(256), now_ns=step)
        assert len(joined) <= fragments.MAX_GROUPS
        assert joined.held <= fragments.MAX_BYTES
    joined.expire(20_000 + fragments.MAX_AGE_NS)
    assert len(joined) == joined.held == 0


def test_fragments_of_more_than_a_picture_are_refused_before_they_are_kept() -> None:
    joined = Reassembly()
    with pytest.raises(LinkError, match='picture length'):
        add(joined, (Fragment(0, 0, 255), bytes(1400)))
    assert len(joined) == 0


def test_fragments_that_do_not_end_are_refused() -> None:
    joined = Reassembly()
    add(joined, (Fragment(0, 0, 2), bytes(10)))
    with pytest.raises(LinkError, match='end of fragments'):
        add(joined, (Fragment(0, 1, 2), bytes(10)))


def test_too_many_fragments_are_refused() -> None:
    with pytest.raises(InvalidInputError, match='fragments'):
        split(bytes(256 * 40), 40, 0, 0)
