"""Packets of released versions decode for ever, and the page that describes them is right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
import re

from gsc_ros.codec.bitstream import CoderId, pack, unpack, VERSION
from gsc_ros.codec.caption import CHARACTERS, decode_caption, SYMBOLS
from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import PacketError
from gsc_ros.codec.hevc.alone import coded_size
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.hevc.streams import decode_planes
from gsc_ros.codec.objects import decode_objects
import numpy as np
import pytest

GOLDEN = Path(__file__).parent / 'golden'
PAGE = Path(__file__).parents[1] / 'docs' / 'BITSTREAM.md'
CASES = {name: case for file in sorted(GOLDEN.glob('*_hevc.json'))
         for name, case in json.loads(file.read_text()).items()}


def packet_of(name):
    data = (GOLDEN / f'{name}.gsc').read_bytes()
    packet = unpack(data)
    assert pack(packet) == data
    return packet


def test_every_packet_is_checked():
    assert {file.stem for file in GOLDEN.glob('*_hevc_*.gsc')} == set(CASES)
    assert any(name.startswith(f'v{VERSION}_') for name in CASES)


@pytest.mark.parametrize('name', CASES)
def test_fields(name):
    packet, case = packet_of(name), CASES[name]
    assert packet.coder == CoderId.HEVC
    assert packet.fingerprint == HevcCoder.fingerprint
    for field in ('width', 'height', 'quality', 'seed', 'sequence', 'reference'):
        assert getattr(packet, field) == case[field]
    assert len(packet.latent) == case['latent_bytes']
    assert decode_caption(packet.caption) == case['caption']
    objects = decode_objects(packet.objects)
    assert [item.class_id for item in objects] == [row[0] for row in case['objects']]
    for item, row in zip(objects, case['objects'], strict=True):
        assert [item.score, *item.box] == pytest.approx(row[1:], abs=0.02)


@pytest.mark.parametrize('name', CASES)
def test_pictures(name):
    packet, case = packet_of(name), CASES[name]
    planes = decode_planes(packet.latent,
                           *coded_size(packet.width, packet.height, packet.quality))
    assert hashlib.sha256(b''.join(p.tobytes() for p in planes)).hexdigest() == case['planes']
    plain = HevcCoder().decode(Coded(packet.quality, packet.latent), packet.width, packet.height)
    assert plain.shape == (case['height'], case['width'], 3)
    count = round(len(case['samples']) ** 0.5)
    rows, columns = (np.arange(count) * (side - 1) // (count - 1) for side in plain.shape[:2])
    samples = plain[np.ix_(rows, columns)].reshape(-1, 3)
    np.testing.assert_allclose(samples, case['samples'], atol=1)   # the enlarging is float


def test_golden_packets_damaged_at_every_byte():
    for name in ('v1_hevc_smallest', 'v1_hevc_wide'):
        data = (GOLDEN / f'{name}.gsc').read_bytes()
        for place in range(len(data)):
            for bad in (data[:place], data[:place] + bytes([data[place] ^ 0x55])
                        + data[place + 1:], data[:place] + b'\x5a' + data[place:]):
                with pytest.raises(PacketError):
                    unpack(bad)


def test_the_example_on_the_page():
    block = re.search(r'```hex\n(.*?)```', PAGE.read_text(), re.DOTALL).group(1)
    lines = [line.split(' # ', 1) for line in block.splitlines()]
    packet = unpack(bytes.fromhex(''.join(code for code, _ in lines)))
    (item,) = decode_objects(packet.objects)
    crc = int.from_bytes(pack(packet)[14:16], 'little')
    expected = [
        'magic = 0xc5', f'version = {VERSION}, coder = {int(packet.coder)}', 'flags = 0',
        f'fingerprint = {packet.fingerprint:#06x}',
        f'width = {packet.width}, height = {packet.height}', f'quality = {packet.quality}',
        f'seed = {packet.seed}', f'sequence = {packet.sequence}',
        f'caption_length = {len(packet.caption)}', 'object_count = 1', f'crc = {crc:#06x}',
        f'caption = {decode_caption(packet.caption)!r}',
        f'class = {COCO_NAMES[item.class_id]}, score = {round(item.score * 31)}/31, '
        f'box = {item.box}',
        f'qp = {packet.latent[0] & 63}, sao = {packet.latent[0] >> 6}', 'slice data']
    assert [note for _, note in lines] == expected
    sizes = [len(bytes.fromhex(code)) for code, _ in lines]
    assert sizes == [1, 1, 1, 2, 3, 1, 1, 2, 1, 1, 2, len(packet.caption), 5, 1,
                     len(packet.latent) - 1]


def test_the_alphabet_on_the_page():
    assert CHARACTERS in PAGE.read_text()
    assert f'({SYMBOLS} symbols in all)' in PAGE.read_text()
