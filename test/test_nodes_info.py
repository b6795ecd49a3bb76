"""The compact form of a stream's facts, and the key file; no ROS needed."""
from __future__ import annotations

import base64
from dataclasses import replace
import struct

from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.link.key_file import load_key
from gsc_ros.link.wire.stream_info import Calibration, InfoFacts, MAX_BYTES, pack_info, unpack_info
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

K = (600.5, 0.0, 320.25, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0)
R = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
P = (600.5, 0.0, 320.25, 0.0, 0.0, 610.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0)
USUAL = Calibration(1280, 960, 'plumb_bob', (-0.25, 0.125, 0.0, 0.0, 0.5), K, R, P)
FACTS = InfoFacts('auto', 0xBEEF, 640, 480, 2.0, 1000, 1500, USUAL)

single = st.floats(width=32, allow_nan=False, allow_infinity=False)
small = st.integers(0, 65535)


def matrix(count: int) -> st.SearchStrategy:
    """Any matrix of single floats."""
    return st.lists(single, min_size=count, max_size=count).map(tuple)


calibrations = st.builds(
    Calibration, small, small, st.sampled_from(['', 'plumb_bob', 'fisheye of ours']),
    st.lists(single, max_size=32).map(tuple), matrix(9), matrix(9), matrix(12),
    st.tuples(small, small), st.tuples(small, small, small, small, st.integers(0, 1)))
facts_strategy = st.builds(
    InfoFacts, st.sampled_from(['auto', 'learned', 'hevc', 'later coder']), small, small, small,
    single, st.integers(0, 2**32 - 1), small, st.none() | calibrations)


@settings(deadline=None, max_examples=80)
@given(facts_strategy)
def test_facts_survive(facts: InfoFacts) -> None:
    packed = pack_info(facts)
    assert len(packed) <= MAX_BYTES
    assert unpack_info(packed) == facts


def test_a_usual_calibration_is_small() -> None:
    assert len(pack_info(FACTS)) <= 70
    assert len(pack_info(replace(FACTS, calibration=None))) <= 20
    rectified = replace(USUAL, p=(590.0, 0.0, 321.0, -60.0, 0.0, 590.0, 241.0, *P[7:]))
    assert len(pack_info(replace(FACTS, calibration=rectified))) <= 100


def test_doubles_are_rounded_to_single_precision() -> None:
    unrounded = replace(USUAL, k=(600.123456789, *K[1:]), p=(600.123456789, *P[1:]))
    back = unpack_info(pack_info(replace(FACTS, calibration=unrounded))).calibration
    assert back.k[0] == back.p[0] == pytest.approx(600.123456789, rel=1e-7)


@pytest.mark.parametrize('change', [
    {'width': 70_000}, {'max_bytes': -1}, {'coder': 'x' * 33},
    {'calibration': replace(USUAL, d=(0.0,) * 33)}, {'calibration': replace(USUAL, k=K[1:])},
    {'calibration': replace(USUAL, r=(1e300, *R[1:]))},
    {'calibration': replace(USUAL, binning=(1, 1 << 16))}])
def test_what_does_not_fit_is_refused(change: dict) -> None:
    with pytest.raises(InvalidInputError):
        pack_info(replace(FACTS, **change))


def test_broken_facts_are_refused() -> None:
    packed = pack_info(FACTS)
    for data in (*(packed[:size] for size in range(len(packed))), packed + b'\0',
                 bytes([9]) + packed[1:], packed[:1] + b'\x77' + packed[2:],
                 packed[:18] + b'\x09' + packed[19:], bytes(MAX_BYTES + 1)):
        with pytest.raises(PacketError):
            unpack_info(data)


@given(st.binary(max_size=120))
def test_noise_never_breaks_the_reader(noise: bytes) -> None:
    for data in (noise, b'\x01\x00' + noise, pack_info(FACTS)[:24] + noise):
        try:
            unpack_info(data)
        except PacketError:
            pass


def test_not_a_number_is_kept() -> None:
    facts = unpack_info(pack_info(replace(FACTS, calibration=replace(
        USUAL, d=(struct.unpack('<f', b'\0\0\xc0\x7f')[0],)))))
    assert facts.calibration.d[0] != facts.calibration.d[0]


KEY = bytes(range(200, 232))


@pytest.mark.parametrize('content', [
    KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b'\n', base64.b64encode(KEY) + b'\r\n'])
def test_key_forms(tmp_path, content: bytes) -> None:
    file = tmp_path / 'key'
    file.write_bytes(content)
    file.chmod(0o600)
    assert load_key(str(file)) == KEY


@pytest.mark.parametrize('content', [b'', KEY[:31], KEY + b'\n', KEY.hex().encode()[:-2],
                                     b'secret words', base64.b64encode(KEY[:30])])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path, content: bytes) -> None:
    file = tmp_path / 'key'
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(InvalidInputError) as caught:
        load_key(str(file))
    shown = f'{caught.value!r} {caught.value.__cause__!r}'
    assert 'key_file' in shown
    assert not content or content.decode('latin-1') not in shown


def test_a_key_that_everybody_may_read_is_refused(tmp_path) -> None:
    file = tmp_path / 'key'
    file.write_bytes(KEY)
    file.chmod(0o644)
    with pytest.raises(InvalidInputError, match='chmod 600'):
        load_key(str(file))
    with pytest.raises(InvalidInputError, match='key_file'):
        load_key(str(tmp_path / 'missing'))
