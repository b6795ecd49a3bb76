"""Peers: real bytes, never above the ceiling unless marked, payloads parsed from the files."""
from __future__ import annotations

from dataclasses import replace
import io

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.metrics import psnr
from gsc_ros.evaluation.peers import PeerEncoder, PEERS
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


@pytest.fixture(params=sorted(PEERS), scope='module')
def encoder(request: pytest.FixtureRequest, picture: np.ndarray) -> PeerEncoder:
    if request.param.startswith('avif') and not features.check('avif'):
        pytest.skip('this Pillow has no AVIF')
    return PeerEncoder(PEERS[request.param], picture)


def test_never_above_the_ceiling_unless_marked(encoder: PeerEncoder) -> None:
    for ceiling in (20, 300, 900, 4000):
        best = encoder.best(ceiling, distance)
        counted = best.payload if encoder.codec.counted == 'payload' else best.size
        assert best.exceeded == max(0, counted - ceiling)
        assert best.picture.shape == (170, 201, 3)
        assert best.picture.dtype == np.uint8
        assert best.size == len(encoder.file(best.scale, best.quality))
        assert 0 < best.payload < best.size
    assert encoder.best(4000, distance).exceeded == 0
    assert encoder.best(20, distance).exceeded > 0


def test_what_does_not_fit_is_the_smallest_file(encoder: PeerEncoder) -> None:
    best = encoder.best(1, distance)
    sizes = [encoder.codec.cost(encoder.file(s, encoder.codec.qualities[0]))
             for s in encoder.scales]
    assert best.exceeded == min(sizes) - 1


def test_more_bytes_are_never_worse(encoder: PeerEncoder, picture: np.ndarray) -> None:
    few, many = encoder.best(600, distance), encoder.best(4000, distance)
    assert psnr(many.picture, picture) > psnr(few.picture, picture)


def test_the_best_scale_is_taken(encoder: PeerEncoder, picture: np.ndarray) -> None:
    best = encoder.best(1500, distance)
    for scale in encoder.scales:
        quality = encoder.best_quality(scale, 1500)
        if quality is not None:
            assert psnr(encoder.decoded(scale, quality), picture) <= psnr(best.picture, picture)


def test_files_are_what_any_reader_opens(picture: np.ndarray) -> None:
    data = PeerEncoder(PEERS['webp'], picture).file(2, 30)
    assert Image.open(io.BytesIO(data)).size == (100, 85)


def test_ceiling_must_be_positive(encoder: PeerEncoder) -> None:
    with pytest.raises(InvalidInputError):
        encoder.best(0, distance)


def test_bisection_finds_the_highest_quality_that_fits(picture: np.ndarray) -> None:
    codec = replace(PEERS['jpeg'], encode=lambda small, quality: bytes(10 * quality))
    encoder = PeerEncoder(codec, picture)
    assert encoder.best_quality(1, 557) == 55
    assert encoder.best_quality(1, 10 ** 6) == 95
    assert encoder.best_quality(1, 9) is None
