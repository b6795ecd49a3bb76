"""Captions: exact for any text, short for English, calm about garbage."""

from __future__ import annotations

import csv

from gsc_ros.codec.bitstream import MAX_CAPTION_BYTES
from gsc_ros.codec.caption import (
    decode_caption,
    encode_caption,
    MAX_CHARACTERS,
    TABLES_FILE,
    truncate_caption,
)
from gsc_ros.codec.errors import InvalidInputError, PacketError
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

ENGLISH = [
    'two cars and a person, street, daylight, left: car',
    '2 people ahead, car left, traffic light, outdoors',
    'a black dog runs through the grass with a ball in its mouth',
    'A man in a red shirt is riding a bicycle down the street .',
    'a narrow corridor with a door on the left and a fire exit',
    'forklift moving pallets next to a yellow safety barrier']


@pytest.mark.parametrize('text', ENGLISH)
def test_sixty_english_characters_fit_forty_bytes(text):
    data = encode_caption(text)
    assert decode_caption(data) == text
    assert len(data) <= 40 * len(text) / 60


def test_validation_captions_are_short(data_root):
    with (data_root / 'val.tsv').open(newline='') as stream:
        texts = [text.strip().lower()[:60] for row in csv.DictReader(stream, delimiter='\t')
                 if row['text_kind'].startswith('human') for text in row['text'].split('||')]
    lengths = [len(encode_caption(text)) for text in texts]
    assert len(lengths) == 200
    assert max(lengths) <= 40
    assert sum(lengths) / len(lengths) <= 25


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_unicode_round_trips(text):
    assert decode_caption(encode_caption(text)) == text


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec='ascii'), max_size=80))
def test_any_ascii_round_trips(text):
    assert decode_caption(encode_caption(text)) == text


@pytest.mark.parametrize('text', [
    '', 'A', 'ÄRGER', 'Ω', '漢字', '🤖 robot', '\x00\n\t', 'İi', 'ǅ'])
def test_odd_texts(text):
    data = encode_caption(text)
    assert decode_caption(data) == text
    assert bool(data) == bool(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_gives_a_text_or_a_packet_error(data):
    try:
        assert len(decode_caption(data)) <= MAX_CHARACTERS
    except PacketError:
        pass


def test_limits_are_named():
    with pytest.raises(InvalidInputError, match='at most 255'):
        encode_caption('漢字' * 100)
    with pytest.raises(InvalidInputError, match='at most 1024'):
        encode_caption('a' * 1025)
    with pytest.raises(InvalidInputError, match='surrogate'):
        encode_caption('\ud800')


def test_truncation_cuts_at_a_word():
    text = 'a black dog runs through the grass with a ball in its mouth'
    assert truncate_caption(text, 200) == text
    previous = ''
    for limit in range(len(encode_caption(text))):
        short = truncate_caption(text, limit)
        assert len(encode_caption(short)) <= limit
        assert text.startswith(short)
        assert not short or text[len(short)] == ' '
        assert len(short) >= len(previous)
        previous = short
    assert len(previous) > 40


def test_truncation_without_spaces_and_of_the_longest():
    assert 0 < len(truncate_caption('漢' * 30, 40)) < 30
    assert len(encode_caption(truncate_caption('Ж ж ' * 400, MAX_CAPTION_BYTES))) <= 255
    assert truncate_caption('word', 0) == ''


def test_the_tables_are_small():
    assert TABLES_FILE.stat().st_size <= 150_000
