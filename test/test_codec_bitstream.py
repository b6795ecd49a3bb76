"""The packet: round trips, limits, and damage at every byte."""

from __future__ import annotations

import tracemalloc

from gsc_ros.codec import bitstream
from gsc_ros.codec.bitstream import CoderId, HEADER_BYTES, MAX_PACKET, pack, Packet, unpack
from gsc_ros.codec.errors import InvalidInputError, PacketError
from hypothesis import example, given, settings
from hypothesis import strategies as st
import pytest

SIDES = st.integers(16, 4096)
BYTES = st.integers(0, 255)
WORDS = st.integers(0, 65535)
PACKETS = st.builds(
    Packet, st.sampled_from(CoderId), SIDES, SIDES, WORDS, BYTES, BYTES, WORDS,
    st.none() | st.integers(1, 255), st.binary(max_size=255),
    st.lists(st.binary(min_size=5, max_size=5), max_size=20).map(b''.join),
    st.binary(max_size=400)) | st.builds(
        Packet, st.sampled_from(CoderId), SIDES, SIDES, WORDS, BYTES, BYTES, WORDS,
        st.integers(1, 255), st.just(b''), st.just(b''), st.binary(max_size=400), st.booleans())

# Format 2: what it does not carry is 0 until its reference is known.
SHORT = st.builds(
    lambda sequence, distance, caption, objects, latent: Packet(
        CoderId.HEVC, 0, 0, 0, 0, 0, sequence, distance, caption, objects, latent, version=2),
    WORDS, st.integers(1, 32), st.binary(max_size=255),
    st.lists(st.binary(min_size=5, max_size=5), max_size=20).map(b''.join),
    st.binary(max_size=400)) | st.builds(
        lambda sequence, distance, latent: Packet(
            CoderId.HEVC, 0, 0, 0, 0, 0, sequence, distance, b'', b'', latent, True, 2),
        WORDS, st.integers(1, 32), st.binary(max_size=400))

PLAIN = Packet(CoderId.HEVC, 640, 480, 0x4801, 20, 3, 1234, None, b'caption', bytes(10), b'latent')


def repair(data: bytes) -> bytes:
    """Put the right CRC into a damaged packet, so that the damage reaches the fields."""
    head = data[:HEADER_BYTES - 2]
    crc = bitstream._checksum(head, data[HEADER_BYTES:])
    return head + crc.to_bytes(2, 'little') + data[HEADER_BYTES:]


@given(PACKETS)
def test_round_trip(packet):
    data = pack(packet)
    extra = packet.reference is not None
    assert len(data) == (16 + extra + len(packet.caption) + len(packet.objects)
                         + len(packet.latent))
    assert unpack(data) == packet


@given(SHORT)
def test_round_trip_of_format_2(packet):
    """Five bytes of header, two more where the packet has text of its own."""
    data = pack(packet)
    text = 0 if packet.text_repeats else 2 + len(packet.caption) + len(packet.objects)
    assert len(data) == packet.size == 5 + text + len(packet.latent)
    assert data[bitstream.sequence_place(data)] == packet.sequence.to_bytes(2, 'little')
    assert unpack(data) == packet


@given(st.binary(min_size=5, max_size=60))
def test_any_short_bytes_are_refused_or_have_one_form(data):
    """Also where the CRC is right."""
    data = bytes([0x80 | data[0] & 0x3F]) + data[1:]
    crc = bitstream._checksum(data[:3], data[5:])
    for whole in (data, data[:3] + crc.to_bytes(2, 'little') + data[5:]):
        try:
            packet = unpack(whole)
        except PacketError:
            continue
        assert pack(packet) == whole


@pytest.mark.parametrize('change', [
    {'reference': None}, {'reference': 33}, {'coder': CoderId.LEARNED}, {'version': 3},
    {'text_repeats': True, 'caption': b'x'}])
def test_what_format_2_cannot_say_is_refused(change):
    short = {**vars(PLAIN), 'reference': 1, 'version': 2, **change}
    with pytest.raises(InvalidInputError):
        pack(Packet(**short))


@settings(max_examples=300)
@given(st.binary(max_size=100), st.booleans())
@example(pack(PLAIN), True)
def test_any_bytes_are_refused_or_have_one_form(data, looks_like_a_packet):
    if looks_like_a_packet and len(data) >= HEADER_BYTES:
        data = repair(bytes([bitstream.MAGIC, 0x12, data[2] & 3]) + data[3:])
    try:
        packet = unpack(data)
    except PacketError:
        return
    assert pack(packet) == data


@pytest.mark.parametrize('reference', [None, 9])
def test_damage_at_every_byte(reference):
    data = pack(Packet(**{**vars(PLAIN), 'reference': reference}))
    for place in range(len(data) + 1):
        with pytest.raises(PacketError):
            unpack(data[:place] + b'\x00' + data[place:])
        if place == len(data):
            continue
        with pytest.raises(PacketError):
            unpack(data[:place])
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(PacketError):
                unpack(bytes(flipped))


@given(st.data())
def test_damage_behind_a_right_checksum(data):
    damaged = bytearray(pack(PLAIN))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(BYTES)
    damaged = repair(bytes(damaged[:data.draw(st.integers(HEADER_BYTES, len(damaged)))]))
    try:
        assert pack(unpack(damaged)) == damaged
    except PacketError:
        pass


@pytest.mark.parametrize(('field', 'value'), [
    ('width', 15), ('width', 4097), ('height', 0), ('fingerprint', 65536), ('quality', -1),
    ('seed', 256), ('sequence', 65536), ('reference', 0), ('reference', 256),
    ('caption', bytes(256)), ('objects', bytes(7)), ('objects', bytes(1280)),
    ('latent', bytes(MAX_PACKET)), ('coder', 7)])
def test_pack_names_what_is_out_of_range(field, value):
    with pytest.raises(InvalidInputError, match=r'coder|packet length|' + field):
        pack(Packet(**{**vars(PLAIN), field: value}))


@pytest.mark.parametrize(('place', 'value', 'name'), [
    (0, 0x00, 'magic'), (1, 0x22, 'version'), (1, 0x1F, 'coder'), (2, 0x80, 'flags'),
    (6, 0x00, 'width'), (12, 0xFF, 'packet length'), (13, 0xFF, 'packet length')])
def test_unpack_names_what_it_does_not_know(place, value, name):
    data = bytearray(pack(PLAIN))
    data[place] = value
    if name == 'width':
        data[7] = 0
    with pytest.raises(PacketError, match=name):
        unpack(repair(bytes(data)))


def test_reference_of_zero_is_refused():
    data = bytearray(pack(Packet(**{**vars(PLAIN), 'reference': 1})))
    data[HEADER_BYTES] = 0
    with pytest.raises(PacketError, match='reference'):
        unpack(repair(bytes(data)))
    with pytest.raises(PacketError, match='reference'):
        unpack(repair(bytes(data[:HEADER_BYTES])))


@pytest.mark.parametrize('changes', [
    {}, {'reference': 1}, {'reference': 1, 'caption': b''}, {'caption': b'', 'objects': b''}])
def test_text_repeats_only_with_a_reference_and_without_text(changes):
    packet = {**vars(PLAIN), **changes}
    with pytest.raises(InvalidInputError, match='text_repeats'):
        pack(Packet(**{**packet, 'text_repeats': True}))
    data = bytearray(pack(Packet(**packet)))
    data[2] |= 2
    with pytest.raises(PacketError, match='flags|text length'):
        unpack(repair(bytes(data)))


def test_lengths_are_checked_before_anything_is_copied():
    data = bytearray(pack(PLAIN))
    data[12] = data[13] = 255
    data = repair(bytes(data))
    tracemalloc.start()
    try:
        with pytest.raises(PacketError):
            unpack(data)
        with pytest.raises(PacketError):
            unpack(bytes(MAX_PACKET + 1))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
