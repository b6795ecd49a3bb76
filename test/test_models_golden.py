"""The shipped learned coder decodes its golden packet to the same symbols everywhere."""
import hashlib
import json
import os
from pathlib import Path
import subprocess
import sys

from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.coder import Coded
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.learned_coder import LearnedCoder  # noqa: E402

GOLDEN = Path(__file__).parent / 'golden' / 'v1_learned_camera.gsc'


def digest() -> tuple[str, list[int]]:
    """Decode the golden packet's symbols: their SHA-256 and their shape."""
    packet = unpack(GOLDEN.read_bytes())
    coder = LearnedCoder.load()
    assert packet.fingerprint == coder.fingerprint
    symbols = coder.decode_symbols(Coded(packet.quality, packet.latent), packet.width,
                                   packet.height)
    return hashlib.sha256(symbols.astype('<i4').tobytes()).hexdigest(), list(symbols.shape)


def test_symbols_are_the_golden_ones() -> None:
    expected = json.loads(GOLDEN.with_suffix('.json').read_text())
    found, shape = digest()
    assert found == expected['symbols'] and shape == expected['shape']
    assert expected['spread'][0] < 0 < expected['spread'][1]


@pytest.mark.slow
@pytest.mark.parametrize('threads', ['1', '2'])
def test_a_second_process_agrees(threads: str) -> None:
    expected = json.loads(GOLDEN.with_suffix('.json').read_text())
    script = ('import sys; sys.path.insert(0, "test"); import test_models_golden as t;'
              'print(t.digest()[0])')
    out = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, 'OMP_NUM_THREADS': threads, 'OPENBLAS_NUM_THREADS': threads})
    assert out.stdout.strip() == expected['symbols']


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_agrees() -> None:
    packet = unpack(GOLDEN.read_bytes())
    coder = LearnedCoder.load('cuda')
    on_gpu = coder.decode(Coded(packet.quality, packet.latent), packet.width, packet.height)
    on_cpu = LearnedCoder.load().decode(
        Coded(packet.quality, packet.latent), packet.width, packet.height)
    assert np.abs(on_gpu.astype(int) - on_cpu).max() <= 3
