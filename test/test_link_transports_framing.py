"""Frames on a line of bytes: found again whatever noise does."""
from __future__ import annotations

import random

from gsc_ros.codec.errors import PacketError
from gsc_ros.link.transports.framing import Deframer, frame, frame_overhead, stuff, unstuff
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest


@given(st.binary(max_size=1500))
def test_frames_are_stuffed_and_restored(datagram):
    """No zero inside, never longer than promised."""
    framed = frame(datagram)
    assert framed[0] == framed[-1] == 0
    assert 0 not in framed[1:-1]
    assert len(framed) - len(datagram) <= frame_overhead(len(datagram))
    assert unstuff(stuff(datagram)) == datagram
    assert Deframer(1500).feed(framed) == ([datagram] if datagram else [])


@pytest.mark.parametrize('size', [1, 251, 252, 253, 254, 255, 508, 1500])
@pytest.mark.parametrize('fill', [b'\0', b'\1', b'\xff'])
def test_runs_of_one_value(size, fill):
    """Where code bytes are full; the longest datagram needs all the promised bytes."""
    assert Deframer(1500).feed(frame(fill * size)) == [fill * size]
    assert len(frame(b'\1' * size)) == size + frame_overhead(size)


@pytest.mark.parametrize('data', [b'\0', b'\5ab', b'\2a\0', b'\xff' + bytes([1] * 253)])
def test_code_bytes_that_lie(data):
    """They point behind the end, or are zero."""
    with pytest.raises(PacketError):
        unstuff(data)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
@settings(max_examples=60)
def test_pieces_of_any_length(datagrams, data):
    """A line delivers frames in pieces, however it likes."""
    stream = b''.join(map(frame, datagrams))
    deframer, found = Deframer(300), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += deframer.feed(stream[:cut])
        stream = stream[cut:]
    assert found == datagrams
    assert deframer.corrupt == 0


@given(st.binary(max_size=600), st.binary(min_size=1, max_size=200))
def test_noise_between_frames_costs_none(noise, datagram):
    """Whatever an idle line says, the next frame is whole; no more than that frame is made up."""
    deframer = Deframer(200)
    assert deframer.feed(noise + frame(datagram))[-1] == datagram


def test_noise_inside_costs_only_what_it_hits():
    """A byte that is wrong, lost or added in every fourth frame: the other three arrive."""
    chance = random.Random(5)
    sent = [chance.randbytes(chance.randint(1, 200)) for _ in range(400)]
    stream = b''
    for number, datagram in enumerate(sent):
        framed = bytearray(frame(datagram))
        if number % 4 == 0:
            at = chance.randrange(len(framed))
            framed[at:at + chance.randint(0, 1)] = chance.randbytes(chance.randint(0, 2))
        stream += framed
    deframer = Deframer(200)
    found = deframer.feed(stream)
    assert set(found) <= set(sent)
    assert [d for n, d in enumerate(sent) if n % 4 and d not in found] == []
    assert deframer.corrupt > 50


def test_endless_noise_is_not_kept():
    """Without a delimiter nothing grows, and the next frame is found."""
    deframer = Deframer(200)
    for _ in range(1000):
        assert deframer.feed(b'\x55' * 100) == []
    assert len(deframer._frame) < 300
    assert deframer.corrupt == 1
    assert deframer.feed(frame(b'found')) == [b'found']
