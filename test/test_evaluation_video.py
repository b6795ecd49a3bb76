"""Video peers: real access units, decoded again, under the link's ceiling or said to be over."""
from __future__ import annotations

import ctypes
import os
import threading

import av
from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.peers import access_units
from gsc_ros.evaluation.peers.clips import code_clip
from gsc_ros.evaluation.peers.registry import VIDEOS
from gsc_ros.evaluation.peers.video_codecs import Setting
from gsc_ros.evaluation.peers.video_search import Link, MAX_DELAY_S, Search
import numpy as np
import pytest

FPS, COUNT = 5.0, 15


@pytest.fixture(scope='module')
def frames() -> list[np.ndarray]:
    """Move a textured disc over a gradient."""
    y, x = np.mgrid[:96, :128]
    ground = np.stack([x * 1.5, y * 2, 120 + 40 * np.sin(x / 9)], -1)
    clip = []
    for i in range(COUNT):
        inside = (x - 20 - 5 * i) ** 2 + (y - 48) ** 2 < 400
        disc = 128 + 90 * np.stack([np.sin(x / 3 - i), np.cos(y / 4), np.sin((x + y) / 5)], -1)
        clip.append(np.where(inside[..., None], disc, ground).clip(0, 255).astype(np.uint8))
    return clip


@pytest.fixture(params=sorted(VIDEOS))
def name(request: pytest.FixtureRequest) -> str:
    try:
        av.Codec(VIDEOS[request.param].encoder, 'w')
    except ValueError:
        pytest.skip(f'this PyAV has no {VIDEOS[request.param].encoder}')
    return str(request.param)


def test_keeps_the_ceiling_and_uses_it(name: str, frames: list[np.ndarray]) -> None:
    clip = code_clip(name, frames, FPS, 16)
    detail = clip.detail
    assert detail.exceeded == 0 and detail.delay_s <= MAX_DELAY_S
    assert 0.3 * 16 * 125 * 3 < clip.total_bytes <= 16 * 125 * 3
    sent = [size for size in clip.frame_bytes if size]
    assert clip.total_bytes == sum(sent) + 40 * len(sent)
    assert 0 < clip.payload_bytes < sum(sent)
    assert len(clip.frame_bytes) == len(clip.decoded) == COUNT
    assert all(picture.shape == frames[0].shape and picture.dtype == np.uint8
               for picture in clip.decoded)
    for size, before, picture in zip(clip.frame_bytes[1:], clip.decoded, clip.decoded[1:],
                                     strict=False):
        assert size or picture is before     # nothing was sent: the screen stands still
    assert np.mean([psnr(a, b) for a, b in zip(clip.decoded, frames, strict=True)]) > 20


@pytest.mark.slow
def test_more_rate_is_never_worse(frames: list[np.ndarray]) -> None:
    few, many = (np.mean([psnr(a, b) for a, b in zip(
        code_clip('h264', frames, FPS, kbps).decoded, frames, strict=True)]) for kbps in (8, 64))
    assert many > few


def test_what_does_not_fit_is_said(name: str, frames: list[np.ndarray]) -> None:
    clip = code_clip(name, frames[:5], FPS, 0.2)
    assert clip.detail.exceeded > 0
    assert sum(size > 0 for size in clip.frame_bytes) <= 2     # the lowest picture rate


def test_settings_are_low_delay(name: str, frames: list[np.ndarray]) -> None:
    """One access unit a picture, decodable as it comes: nothing waits for later ones."""
    codec = VIDEOS[name]
    planes = [av.VideoFrame.from_ndarray(f, format='rgb24').to_ndarray(format='yuv420p')
              for f in frames]
    units = codec.encode(planes, Setting(40, FPS))
    assert len(units) == COUNT
    for count in (1, 4):
        assert len(codec.decode(units[:count])) == count
    assert 0 < codec.payload(units[0]) < len(units[0])     # parameter sets come with the first
    assert all(0 < codec.payload(unit) <= len(unit) for unit in units)


def test_coding_leaves_the_thread_as_it_was(name: str, frames: list[np.ndarray]) -> None:
    """SVT-AV1 makes a superuser's calling thread real-time, and what it starts inherits that."""
    planes = [av.VideoFrame.from_ndarray(f, format='rgb24').to_ndarray(format='yuv420p')
              for f in frames[:2]]
    before = scheduling()
    VIDEOS[name].encode(planes, Setting(40, FPS))
    assert scheduling() == before


def scheduling() -> tuple[int, int, int]:
    """Policy in the kernel, policy and priority in the C library's copy, of this thread."""
    policy, priority = ctypes.c_int(), ctypes.c_int()
    ctypes.CDLL(None).pthread_getschedparam(
        ctypes.c_ulong(threading.get_ident()), ctypes.byref(policy), ctypes.byref(priority))
    return os.sched_getscheduler(0), policy.value, priority.value


@pytest.mark.slow
def test_the_judge_chooses(frames: list[np.ndarray]) -> None:
    """A judge that wants size rather than fidelity gets the coarsest grid point."""
    calls = []

    def distance(picture: np.ndarray, reference: np.ndarray) -> float:
        calls.append(picture.shape)
        return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())   # the smoothest

    smooth = code_clip('h264', frames, FPS, 16, distance=distance)
    sharp = code_clip('h264', frames, FPS, 16)
    assert calls and set(calls) == {frames[0].shape}
    assert np.diff(smooth.decoded[0].astype(int), axis=1).std() \
        < np.diff(sharp.decoded[0].astype(int), axis=1).std()


def test_the_grid_is_walked_from_two_ends(frames: list[np.ndarray],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """From few good pictures the walk ends in a hollow; the best point is at every picture."""
    search = Search(VIDEOS['h264'], frames, FPS, Link(125, overhead_bytes=0), psnr)
    scores = {(2, 8): 3.0, (1, 1): 1.0}
    monkeypatch.setattr(search, 'at', lambda s, d: (scores.get((s, d), 9.0), (s, d)))
    assert search.divisors == [1, 2, 4, 8] and search.scales == [1, 2]
    assert search.best() == (1, 1)


def test_link_counts_headers_and_waiting() -> None:
    link = Link(1000, overhead_bytes=28)
    assert link.wire_bytes(100) == 128
    assert link.wire_bytes(3000) == 3000 + 3 * 28
    assert link.delay([972, 72, 72], 10) == pytest.approx(1.0)
    assert link.delay([72] * 20, 10) == pytest.approx(0.1)       # 100 bytes each: keeps up
    assert link.delay([172] * 11, 10) == pytest.approx(1.2)      # lags by 0.1 s with each
    assert link.fill([172] * 10, 10, 1.0) == pytest.approx(2.0)


def test_wrong_arguments_are_named(frames: list[np.ndarray]) -> None:
    for arguments in (('vp9', frames, 5, 8), ('h264', frames, 0, 8), ('h264', frames, 5, 0),
                      ('h264', [], 5, 8), ('h264', [frames[0], frames[0][:50]], 5, 8),
                      ('h264', [frames[0][:16]], 5, 8)):
        with pytest.raises(InvalidInputError):
            code_clip(*arguments)  # type: ignore[arg-type]


def test_units_are_told_apart() -> None:
    sps, note, slice_ = b'\x67abc', b'\x06\x05note\x80', b'\x65picture'
    stream = b''.join(b'\0\0\0\1' + unit for unit in (sps, note, slice_))
    assert list(access_units.nal_units(stream)) == [sps, note, slice_]
    assert access_units.without_notes(stream) == b'\0\0\1' + sps + b'\0\0\1' + slice_
    assert access_units.h264_payload(stream) == len(slice_)
    delimiter, header, frame = b'\x12\0', b'\x0a\x03abc', b'\x32\x07picture'
    assert access_units.without_delimiters(delimiter + header + frame) == header + frame
    assert access_units.av1_payload(delimiter + header + frame) == len(frame)
    for bad in (b'\x30picture', b'\x32' + b'\x80' * 8):
        with pytest.raises(PacketError):
            list(access_units.obus(bad))
