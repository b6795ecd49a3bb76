"""Running the mean predictor: planes in, a picture of the source's size out, in integers too."""
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.codec.resample import shrink
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models import checkpoint, int8  # noqa: E402
from gsc_ros.models.mean import MeanConfig, MeanPredictor  # noqa: E402
from gsc_ros.prior.mean import load_mean, MeanGenerator  # noqa: E402


@pytest.fixture
def picture() -> np.ndarray:
    y, x = np.mgrid[:96, :120]
    planes = (np.sin(x / 19) + np.cos(y / 17), np.sin((x + y) / 23), np.cos(x / 29))
    return np.stack([127 + 50 * p for p in planes], -1).clip(0, 255).astype(np.uint8)


def lively() -> MeanPredictor:
    torch.manual_seed(0)
    model = MeanPredictor(MeanConfig(32, 3)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.01 * torch.randn_like(parameter))
    return model


def test_an_untrained_one_enlarges_planes(picture: np.ndarray) -> None:
    generator = MeanGenerator(MeanPredictor().eval(), exact=True)
    made = generator.restore(shrink(picture, 40, 32), 120, 96, 50)
    assert made.shape == picture.shape and made.dtype == np.uint8
    assert np.abs(made.astype(int) - picture).mean() < 3


def test_weights_are_kept_in_a_file(picture: np.ndarray, tmp_path: Path) -> None:
    model, file = lively(), tmp_path / 'mean.safetensors'
    checkpoint.save(model, model.config, file)
    planes = shrink(picture, 40, 32)
    one, other = (MeanGenerator(each, exact=True).restore(planes, 121, 95, 50)
                  for each in (model, load_mean(file)))
    assert one.shape == (95, 121, 3) and np.abs(one.astype(int) - other).max() <= 1
    with pytest.raises(CheckpointError, match='no such file'):
        load_mean(tmp_path / 'none')


def test_integers_make_nearly_the_same_picture(picture: np.ndarray) -> None:
    if not int8.supported('cpu'):
        pytest.skip('no such instructions here')
    planes = shrink(picture, 40, 32)
    exact, quick = (MeanGenerator(lively(), exact=exact).restore(planes, 120, 96, 50).astype(int)
                    for exact in (True, False))
    assert 0 < np.abs(exact - quick).mean() < 1
