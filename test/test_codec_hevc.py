"""The hevc coder: byte ceiling, source sizes, headers of our own, damage."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from gsc_ros.codec.bitstream import CoderId, pack, Packet, unpack
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import (
    BudgetError,
    InvalidInputError,
    MissingDependencyError,
    PacketError,
)
from gsc_ros.codec.hevc import headers as hevc_headers
from gsc_ros.codec.hevc import streams as hevc_streams
from gsc_ros.codec.hevc.alone import coded_size, MAX_QUALITY
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.resample import enlarge, shrink
import numpy as np
import pytest

CODER = HevcCoder()


def scene(width, height, seed=0):
    """Give a picture with shading, edges and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.stack([40 + 150 * y / height, 80 + 100 * x / width, 200 - 120 * y / height], -1)
    for _ in range(8):
        left, top = rng.integers(0, width), rng.integers(0, height)
        inside = (abs(x - left) < width / 8) & (abs(y - top) < height / 9)
        picture[inside] = rng.integers(0, 256, 3)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def psnr(first, second):
    return 10 * np.log10(255 ** 2 / np.mean((first.astype(float) - second) ** 2))


@pytest.mark.parametrize('max_bytes', [150, 215, 300, 640, 1500, 4000])
def test_the_ceiling_holds_and_is_used(max_bytes):
    picture = scene(480, 360)
    coded = CODER.encode(picture, max_bytes)
    assert len(coded.data) <= max_bytes
    if max_bytes <= 1500:   # beyond, one step of the quantiser lets all the noise in
        assert len(coded.data) > 0.8 * max_bytes
    plain = CODER.decode(coded, 480, 360)
    assert plain.shape == picture.shape
    assert plain.dtype == np.uint8
    assert psnr(picture, plain) > 20


def test_more_bytes_give_a_better_picture():
    picture = scene(320, 240)
    values = [psnr(picture, CODER.decode(CODER.encode(picture, n), 320, 240))
              for n in (60, 200, 700, 2500, 9000)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 8


@pytest.mark.parametrize('path', [
    'bsds500_test', 'flickr8k', 'coco128_train2017', 'robot_views', 'camvid_seq05vd'])
def test_the_ceiling_holds_on_real_pictures(data_root, path):
    image = pytest.importorskip('PIL.Image')
    file = sorted((data_root / 'val' / path).glob('*.[jp][pn]g'))[0]
    picture = np.asarray(image.open(file).convert('RGB'))
    height, width = picture.shape[:2]
    for max_bytes in (150, 400, 1200):
        coded = CODER.encode(picture, max_bytes)
        assert len(coded.data) <= max_bytes
        assert psnr(picture, CODER.decode(coded, width, height)) > 13


@pytest.mark.parametrize(('width', 'height'), [
    (16, 16), (17, 31), (16, 1000), (1000, 16), (333, 217), (4096, 24), (24, 4096)])
def test_any_size(width, height):
    picture = scene(width, height)
    for max_bytes in (40, 300):
        coded = CODER.encode(picture, max_bytes)
        assert len(coded.data) <= max_bytes
        assert CODER.decode(coded, width, height).shape == (height, width, 3)


@pytest.mark.slow
def test_the_largest_size():
    picture = np.broadcast_to(np.uint8(90), (4096, 4096, 3)).copy()
    coded = CODER.encode(picture, 60)
    assert abs(int(CODER.decode(coded, 4096, 4096).mean()) - 90) < 3


@pytest.mark.parametrize('value', [0, 128, 255])
def test_flat_pictures_keep_their_colour(value):
    picture = np.full((64, 96, 3), value, np.uint8)
    plain = CODER.decode(CODER.encode(picture, 100), 96, 64)
    assert np.abs(plain.astype(int) - value).max() <= 2


def test_a_budget_that_is_too_small_is_named():
    with pytest.raises(BudgetError) as caught:
        CODER.encode(scene(320, 240), 3)
    smallest = caught.value.smallest
    assert len(CODER.encode(scene(320, 240), smallest).data) <= smallest
    with pytest.raises(BudgetError):
        CODER.encode(scene(320, 240), 0)


@pytest.mark.parametrize('picture', [
    np.zeros((15, 20, 3), np.uint8), np.zeros((20, 4097, 3), np.uint8),
    np.zeros((20, 20), np.uint8), np.zeros((20, 20, 3), np.float32)])
def test_bad_pictures_are_refused(picture):
    with pytest.raises(InvalidInputError, match='picture'):
        CODER.encode(picture, 100)


def test_coded_sizes():
    assert coded_size(640, 480, 0) == (640, 480)
    assert coded_size(640, 480, 32) == (160, 120)
    assert coded_size(16, 16, MAX_QUALITY) == (16, 16)
    widths = [coded_size(4096, 16, quality)[0] for quality in range(MAX_QUALITY + 1)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 64
    with pytest.raises(PacketError, match='quality'):
        coded_size(640, 480, MAX_QUALITY + 1)


@pytest.mark.parametrize('size', [(16, 16), (32, 16), (40, 64), (64, 64), (160, 120), (328, 240)])
@pytest.mark.parametrize('qp', [0, 26, 51])
def test_our_headers_are_those_of_x265(size, qp):
    # encode_planes compares them; the quantiser must be the one that was asked for
    planes = shrink(scene(*size), *size)
    assert hevc_streams.encode_planes(planes, qp)[0] & 63 == qp


def test_another_x265_is_refused(monkeypatch):
    monkeypatch.setattr(hevc_streams, '_X265', hevc_streams._X265.replace('tskip=0', 'tskip=1'))
    with pytest.raises(MissingDependencyError, match='transform_skip_enabled_flag'):
        CODER.encode(scene(64, 64), 500)
    monkeypatch.setattr(hevc_streams, '_X265', hevc_streams._X265.replace(
        'tskip=1', 'tskip=0:temporal-mvp=0'))
    with pytest.raises(MissingDependencyError, match='sps_temporal_mvp_enabled_flag'):
        CODER.encode(scene(64, 64), 500)


def test_a_pyav_without_x265_is_named(monkeypatch):
    monkeypatch.setattr(hevc_streams, '_ENCODER', 'no_such_encoder')
    with pytest.raises(MissingDependencyError, match='libx265'):
        CODER.encode(scene(64, 64), 500)


def test_emulation_prevention():
    assert hevc_headers._nal(32, b'\0\0\0\0\0\1').hex() == '4001' + '000003000003' + '0001'
    assert hevc_headers._unescape(bytes.fromhex('0000030000030001')) == b'\0\0\0\0\0\1'


def damaged(data, rng):
    """Flip, cut or lengthen ``data`` at random."""
    kind, result = rng.integers(4), bytearray(data)
    if kind == 0:
        return bytes(result[:rng.integers(len(result))])
    if kind == 1:
        return bytes(result) + rng.bytes(int(rng.integers(1, 40)))
    if kind == 2:
        return rng.bytes(int(rng.integers(0, 600)))
    for place in rng.integers(0, len(result), rng.integers(1, 5)):
        result[place] ^= rng.integers(1, 256)
    return bytes(result)


def test_damaged_latents_in_sound_packets(capfd):
    rng = np.random.default_rng(0)
    coded, pictures = CODER.encode(scene(320, 240), 400), 0
    for _ in range(150):
        packet = unpack(pack(Packet(
            CoderId.HEVC, 320, 240, CODER.fingerprint, coded.quality, 0, 0, None, b'', b'',
            damaged(coded.data, rng))))
        try:
            plain = CODER.decode(Coded(packet.quality, packet.latent), 320, 240)
        except PacketError:
            continue
        pictures += 1
        assert plain.shape == (240, 320, 3)
    assert pictures > 20
    assert capfd.readouterr() == ('', '')   # ffmpeg keeps quiet


@pytest.mark.parametrize('data', [b'', b'\x34', b'\xff' * 5])
def test_latents_without_a_quantiser_are_refused(data):
    with pytest.raises(PacketError):
        CODER.decode(Coded(20, data), 320, 240)


def test_latent_of_another_size_gives_a_picture_or_an_error():
    coded = CODER.encode(scene(320, 240), 400)
    for quality in (0, 10, 40, MAX_QUALITY):
        try:
            assert CODER.decode(Coded(quality, coded.data), 64, 48).shape == (48, 64, 3)
        except PacketError:
            pass


def test_resampling_keeps_flat_and_smooth_pictures():
    flat = np.full((50, 70, 3), 137, np.uint8)
    np.testing.assert_array_equal(enlarge(shrink(flat, 24, 16), 70, 50), flat)
    y, x = np.mgrid[:96, :128]
    smooth = np.stack([x + y, 2 * y, 255 - x], -1).astype(np.uint8)
    assert psnr(smooth[8:-8, 8:-8], enlarge(shrink(smooth, 64, 48), 128, 96)[8:-8, 8:-8]) > 38


_SCRIPT = """
import hashlib, sys
import numpy as np
from gsc_ros.codec.hevc.alone import coded_size
from gsc_ros.codec.hevc.streams import decode_planes
data = bytes.fromhex(sys.argv[1])
planes = decode_planes(data, *coded_size(320, 240, int(sys.argv[2])))
print(hashlib.sha256(b''.join(p.tobytes() for p in planes)).hexdigest())
"""


def test_the_same_planes_in_other_processes_and_with_other_threads():
    coded = CODER.encode(scene(320, 240), 500)
    outputs = {subprocess.run(
        [sys.executable, '-c', _SCRIPT, coded.data.hex(), str(coded.quality)],
        capture_output=True, check=True, env={**os.environ, 'OMP_NUM_THREADS': threads,
                                              'OPENBLAS_NUM_THREADS': threads}).stdout
        for threads in ('1', '2')}
    assert len(outputs) == 1


def test_garbage_takes_little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = np.random.default_rng(0)
    for _ in range(10):
        try:
            CODER.decode(Coded(0, b'\xd0' + rng.bytes(3000)), 640, 480)
        except PacketError:
            pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000   # KiB
