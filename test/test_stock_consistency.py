"""The packet as a test of pictures: planes and symbols, and corrections in a real latent space."""
from __future__ import annotations

from pathlib import Path
import sys

from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.hevc.coder import decode_reference
from gsc_ros.codec.references import Reference
from gsc_ros.codec.resample import enlarge, shrink
from gsc_ros.encoder import SemanticEncoder
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.frames import pad_to_tensor  # noqa: E402
from gsc_ros.models.learned_coder import LearnedCoder  # noqa: E402
from gsc_ros.prior.consistency import PlanesConstraint, SymbolsConstraint  # noqa: E402

BENCH = Path(__file__).resolve().parents[1] / 'bench'
SIZE = (100, 150)       # not a multiple of any block


def scene() -> np.ndarray:
    """Waves of several lengths, uint8 (100, 150, 3)."""
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    waves = [128 + 60 * np.sin(rows / a + columns / b) for a, b in ((9, 14), (20, 5), (4, 30))]
    return np.stack(waves, 2).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def coded() -> Reference:
    return decode_reference(unpack(SemanticEncoder('hevc').encode(scene(), 180)), None)


def test_measuring_agrees_with_the_coder_to_the_rounding() -> None:
    """A picture's own planes are at most the rounding away from it."""
    sent = PlanesConstraint(shrink(scene(), 64, 48))
    assert float(sent.distance(pad_to_tensor(scene(), 1))) < 0.12    # 1 / 12 and the clipping


def test_pulled_pictures_are_coded_into_what_was_sent(coded: Reference) -> None:
    exact = PlanesConstraint(coded.planes)
    grey = torch.zeros(1, 3, *SIZE)
    before = [float(exact.distance(grey))]
    for _ in range(3):
        grey = exact.pull(grey)
        before.append(float(exact.distance(grey)))
    assert before[1] < before[0] / 20 and before == sorted(before, reverse=True)


def test_pictures_within_the_cells_are_left_alone(coded: Reference) -> None:
    sent = PlanesConstraint(coded.planes, coded.qp)
    plain = pad_to_tensor(enlarge(coded.planes, SIZE[1], SIZE[0]), 1)
    assert sent.kept(plain) > 0.999
    torch.testing.assert_close(sent.pull(plain), plain, rtol=0, atol=2 / 127.5)
    source = pad_to_tensor(scene(), 1)
    assert sent.kept(source) > 0.95
    assert float(sent.misfit(source)) < float(PlanesConstraint(coded.planes).distance(source)) / 4


def test_a_foreign_picture_is_pulled_into_the_cells(coded: Reference) -> None:
    sent = PlanesConstraint(coded.planes, coded.qp)
    foreign = pad_to_tensor(scene()[::-1].copy(), 1) * 0.5 + 0.4
    pulled = sent.pull(foreign)
    assert float(sent.misfit(pulled)) < float(sent.misfit(foreign)) / 20
    assert sent.kept(pulled) > sent.kept(foreign)


def grey_with(luma: float = 0.0, blue: float = 0.0) -> torch.Tensor:
    """Give middle grey with so many levels more of Y and Cb (ITU-R BT.601, full range)."""
    red, green = 128 + luma, 128 + luma - 0.344136 * blue
    levels = torch.tensor([red, green, 128 + luma + 1.772 * blue])
    return (levels / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, 64, 64)


def middle_grey(qp: int) -> PlanesConstraint:
    luma, chroma = np.full((64, 64), 128, np.uint8), np.full((32, 32), 128, np.uint8)
    return PlanesConstraint((luma, chroma, chroma.copy()), qp)


@pytest.mark.parametrize(('qp', 'step'), [(22, 8.0), (28, 16.0), (34, 32.0), (40, 64.0),
                                          (46, 128.0), (51, 228.1)])
def test_a_cell_is_half_a_step_of_the_quantiser(qp: int, step: float) -> None:
    """The step of H.265 is 1 at QP 4 and doubles every 6; the mean of 32x32 samples weighs 32."""
    edge, sent = step / 2 / 32, middle_grey(qp)
    assert sent.kept(grey_with(luma=0.98 * edge)) == 1
    assert sent.kept(grey_with(luma=1.02 * edge)) < 1
    assert sent.kept(grey_with(luma=-0.98 * edge)) == 1
    assert sent.kept(grey_with(luma=-1.02 * edge)) < 1


@pytest.mark.parametrize(('qp', 'step'), [
    (29, 17.96), (30, 17.96), (33, 25.40), (35, 28.51), (37, 32.0), (43, 45.25),
    (44, 50.80), (46, 64.0), (51, 114.04)])
def test_chroma_has_the_quantiser_of_the_standard(qp: int, step: float) -> None:
    """H.265, table 8-10: 29, 29, 32, 33, 34, 37; above 43 six less than luma's: 38, 40, 45."""
    edge, sent = step / 2 / 16, middle_grey(qp)
    assert sent.kept(grey_with(blue=0.98 * edge)) == 1
    assert sent.kept(grey_with(blue=1.02 * edge)) < 1


def test_symbols_of_the_learned_coder_hold_a_picture_too() -> None:
    coder = LearnedCoder.load()
    sent = SymbolsConstraint(coder, coder.encode(scene(), 150), SIZE[1], SIZE[0])
    source, foreign = pad_to_tensor(scene(), 1), torch.zeros(1, 3, *SIZE)
    with torch.no_grad():
        assert sent.kept(source) > 0.999
        torch.testing.assert_close(sent.pull(source), source, rtol=0, atol=0.05)
        pulled = sent.pull(foreign)
        assert pulled.shape == foreign.shape
        assert float(sent.misfit(pulled)) < float(sent.misfit(foreign)) / 2


@pytest.mark.slow
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
