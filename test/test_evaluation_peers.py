"""Peers: real bytes, never above the ceiling unless marked, payloads parsed from the files."""
from __future__ import annotations

from dataclasses import replace
import io

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.judges.metrics import psnr
from gsc_ros.evaluation.peers.registry import STILLS
from gsc_ros.evaluation.peers.stills import code_still, PeerEncoder
import numpy as np
from PIL import features, Image
import pytest


@pytest.fixture(scope='module')
def picture() -> np.ndarray:
    y, x = np.mgrid[:170, :201]
    planes = (np.sin(x / 9) + np.cos(y / 7), np.sin((x + y) / 13), np.cos(x * y / 900))
    return np.stack([127 + 60 * p for p in planes], -1).clip(0, 255).astype(np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return -psnr(a, b)


@pytest.fixture(params=sorted(STILLS), scope='module')
def encoder(request: pytest.FixtureRequest, picture: np.ndarray) -> PeerEncoder:
    if request.param.startswith('avif') and not features.check('avif'):
        pytest.skip('this Pillow has no AVIF')
    return PeerEncoder(STILLS[request.param], picture)


def test_never_above_the_ceiling_unless_marked(encoder: PeerEncoder) -> None:
    for ceiling in (20, 300, 900, 4000):
        best = encoder.best(ceiling, distance)
        counted = best.payload_bytes if encoder.codec.counted == 'payload' else best.bytes
        assert best.detail.exceeded == max(0, counted - ceiling)
        assert best.decoded.shape == (170, 201, 3)
        assert best.decoded.dtype == np.uint8
        assert best.bytes == len(encoder.file(best.detail.scale, best.detail.quality))
        assert 0 < best.payload_bytes < best.bytes
    assert encoder.best(4000, distance).detail.exceeded == 0
    assert encoder.best(20, distance).detail.exceeded > 0


def test_what_does_not_fit_is_the_smallest_file(encoder: PeerEncoder) -> None:
    best = encoder.best(1, distance)
    sizes = [encoder.codec.cost(encoder.file(s, encoder.codec.qualities[0]))
             for s in encoder.scales]
    assert best.detail.exceeded == min(sizes) - 1


def test_more_bytes_are_never_worse(encoder: PeerEncoder, picture: np.ndarray) -> None:
    few, many = encoder.best(600, distance), encoder.best(4000, distance)
    assert psnr(many.decoded, picture) > psnr(few.decoded, picture)


def test_the_best_scale_is_taken(encoder: PeerEncoder, picture: np.ndarray) -> None:
    best = encoder.best(1500, distance)
    for scale in encoder.scales:
        quality = encoder.best_quality(scale, 1500)
        if quality is not None:
            assert psnr(encoder.decoded(scale, quality), picture) <= psnr(best.decoded, picture)


def test_files_are_what_any_reader_opens(picture: np.ndarray) -> None:
    data = PeerEncoder(STILLS['webp'], picture).file(2, 30)
    assert Image.open(io.BytesIO(data)).size == (100, 85)


def test_ceiling_must_be_positive(encoder: PeerEncoder) -> None:
    with pytest.raises(InvalidInputError):
        encoder.best(0, distance)


def test_bisection_finds_the_highest_quality_that_fits(picture: np.ndarray) -> None:
    codec = replace(STILLS['jpeg'], encode=lambda small, quality: bytes(10 * quality))
    encoder = PeerEncoder(codec, picture)
    assert encoder.best_quality(1, 557) == 55
    assert encoder.best_quality(1, 10 ** 6) == 95
    assert encoder.best_quality(1, 9) is None


def test_code_still_shares_work_and_judges_by_psnr_unless_told(picture: np.ndarray) -> None:
    ticks = iter(range(10 ** 6))
    calls = []

    def nearest_to_grey(shown: np.ndarray, original: np.ndarray) -> float:
        calls.append(original is picture)
        return float(np.abs(shown.astype(int) - 128).mean())

    first = code_still('webp', picture, 900, clock=lambda: float(next(ticks)))
    assert (first.encode_s, first.decode_s) == (1, 1)     # of one encoding, not of the search
    assert code_still('webp', picture, 900).decoded is first.decoded
    other = code_still('webp', picture, 900, distance=nearest_to_grey)
    assert calls and all(calls)
    assert psnr(other.decoded, picture) <= psnr(first.decoded, picture)
    with pytest.raises(InvalidInputError, match='webp'):
        code_still('bmp', picture, 900)


def test_jpeg_takes_the_smaller_of_one_scan_and_many(picture: np.ndarray) -> None:
    for scale, quality in ((8, 1), (1, 90)):
        small = Image.fromarray(picture).resize((201 // scale, 170 // scale))
        sizes = []
        for progressive in (False, True):
            stream = io.BytesIO()
            small.save(stream, 'JPEG', quality=quality, optimize=True, progressive=progressive)
            sizes.append(len(stream.getvalue()))
        assert len(STILLS['jpeg'].encode(small, quality)) <= min(sizes)
