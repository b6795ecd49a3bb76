"""The packet as a test of pictures: planes and symbols, and corrections in a real latent space."""
from __future__ import annotations

from pathlib import Path
import sys

from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.hevc.packets import decode_packet
from gsc_ros.codec.references import Reference
from gsc_ros.codec.resample import enlarge, shrink
from gsc_ros.encoder import SemanticEncoder
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.frames import pad_to_tensor  # noqa: E402
from gsc_ros.models.learned_coder import LearnedCoder  # noqa: E402
from gsc_ros.prior.consistency import SentPlanes, SentSymbols  # noqa: E402

BENCH = Path(__file__).resolve().parents[1] / 'bench'
SIZE = (100, 150)       # not a multiple of any block


def scene() -> np.ndarray:
    """Waves of several lengths, uint8 (100, 150, 3)."""
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    waves = [128 + 60 * np.sin(rows / a + columns / b) for a, b in ((9, 14), (20, 5), (4, 30))]
    return np.stack(waves, 2).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def coded() -> Reference:
    return decode_packet(unpack(SemanticEncoder('hevc').encode(scene(), 180)), None)


def test_measuring_agrees_with_the_coder_to_the_rounding() -> None:
    """A picture's own planes are at most the rounding away from it."""
    sent = SentPlanes(shrink(scene(), 64, 48))
    assert float(sent.distance(pad_to_tensor(scene(), 1))) < 0.12    # 1 / 12 and the clipping


def test_pulled_pictures_are_coded_into_what_was_sent(coded: Reference) -> None:
    exact = SentPlanes(coded.planes)
    grey = torch.zeros(1, 3, *SIZE)
    before = [float(exact.distance(grey))]
    for _ in range(3):
        grey = exact.pull(grey)
        before.append(float(exact.distance(grey)))
    assert before[1] < before[0] / 20 and before == sorted(before, reverse=True)


def test_pictures_within_the_cells_are_left_alone(coded: Reference) -> None:
    sent = SentPlanes(coded.planes, coded.qp)
    plain = pad_to_tensor(enlarge(coded.planes, SIZE[1], SIZE[0]), 1)
    assert sent.kept(plain) > 0.999
    torch.testing.assert_close(sent.pull(plain), plain, rtol=0, atol=2 / 127.5)
    source = pad_to_tensor(scene(), 1)
    assert sent.kept(source) > 0.95
    assert float(sent.misfit(source)) < float(SentPlanes(coded.planes).distance(source)) / 4


def test_a_foreign_picture_is_pulled_into_the_cells(coded: Reference) -> None:
    sent = SentPlanes(coded.planes, coded.qp)
    foreign = pad_to_tensor(scene()[::-1].copy(), 1) * 0.5 + 0.4
    pulled = sent.pull(foreign)
    assert float(sent.misfit(pulled)) < float(sent.misfit(foreign)) / 20
    assert sent.kept(pulled) > sent.kept(foreign)


def test_symbols_of_the_learned_coder_hold_a_picture_too() -> None:
    coder = LearnedCoder.load()
    sent = SentSymbols(coder, coder.encode(scene(), 150), SIZE[1], SIZE[0])
    source, foreign = pad_to_tensor(scene(), 1), torch.zeros(1, 3, *SIZE)
    with torch.no_grad():
        assert sent.kept(source) > 0.999
        torch.testing.assert_close(sent.pull(source), source, rtol=0, atol=0.05)
        pulled = sent.pull(foreign)
        assert pulled.shape == foreign.shape
        assert float(sent.misfit(pulled)) < float(sent.misfit(foreign)) / 2


@pytest.mark.parametrize('method', ['pull, strength 1', 'pull, strength 0.5', 'gradient, 1 step'])
def test_each_step_comes_closer_in_the_latent_space_of_flux2(data_root: Path, method: str) -> None:
    """Real pictures, real latents, a model that pulls away: docs/PRIORS.md has the full table."""
    sys.path.insert(0, str(BENCH))
    from stock_latent import follow, GaussianPrior, load_scene, METHODS, natural
    from stock_taef2 import FILES, Taef2
    if not all((data_root / 'models' / name).is_file() for name in FILES):
        pytest.skip(f'no {FILES} in {data_root}/models')
    space, encoder = Taef2.load(data_root / 'models'), SemanticEncoder('hevc')
    file = sorted((data_root / 'val' / 'camvid_seq05vd').glob('*.jpg'))[5]
    seen = load_scene(file, 0.02, encoder, 96)
    with torch.no_grad():
        deviation, mean = natural([seen], space)
        prior = GaussianPrior(space, mean, deviation, 0.6)
        found, _, _ = follow(seen, prior, METHODS[method], 3)
        free, _, _ = follow(seen, prior, METHODS['off'], 3)
    before, after = found[::2], found[1::2]
    assert before[0] > 1 and after[0] < before[0]
    assert all(a < b or b < 0.05 for b, a in zip(before, after, strict=True))
    assert after[-1] < free[-1] / 3
