"""What judges the prior in training: a critic that is trained along, a frozen detector."""
import importlib.util
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError
import numpy as np
from PIL import Image
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.frames import pad_to_tensor  # noqa: E402
from gsc_ros.training.critic import Critic, FEATURES  # noqa: E402
from torch import nn, Tensor  # noqa: E402


def need_onnx2torch() -> None:
    """Skip without it; it is imported by whom it concerns, in the right order."""
    if importlib.util.find_spec('onnx2torch') is None:
        pytest.skip('onnx2torch is not installed')


def maps(seed: int, shift: float = 0.0) -> list[Tensor]:
    """Make unit-normalised features of two pictures."""
    torch.manual_seed(seed)
    raw = [torch.randn(2, c, 8, 8) + shift for c in FEATURES]
    return [each / each.norm(dim=1, keepdim=True) for each in raw]


def has_gradient(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_the_critics_loss_trains_the_critic_and_the_makers_the_maker() -> None:
    critic = Critic()
    made = [each.requires_grad_() for each in maps(0)]
    own, fooled = critic.losses(made, maps(1))
    own.backward()
    assert has_gradient(critic) and all(each.grad is None for each in made)
    critic.zero_grad()
    fooled.backward()
    assert not has_gradient(critic)
    assert all(each.grad is not None and bool(each.grad.any()) for each in made)
    assert all(p.requires_grad for p in critic.parameters())


def test_the_critic_learns_what_is_real() -> None:
    torch.manual_seed(3)
    critic = Critic()
    optimiser = torch.optim.Adam(critic.parameters(), lr=5e-3)
    losses = []
    for step in range(30):
        own, fooled = critic.losses(maps(step), maps(1000 + step, shift=0.5))
        optimiser.zero_grad()
        own.backward()
        optimiser.step()
        losses.append((own.item(), fooled.item()))
    assert losses[-1][0] < 0.6 * losses[0][0]   # it tells them apart
    assert losses[-1][1] > losses[0][1]         # and the maker sees that


def test_a_detectors_file_is_checked(tmp_path: Path) -> None:
    need_onnx2torch()
    from gsc_ros.training.objects_loss import ObjectLoss
    with pytest.raises(CheckpointError, match='no such file'):
        ObjectLoss(tmp_path / 'none.onnx')
    (tmp_path / 'odd.onnx').write_bytes(b'odd')
    with pytest.raises(CheckpointError, match='odd.onnx'):
        ObjectLoss(tmp_path / 'odd.onnx')


@pytest.fixture(scope='module')
def yolox(data_root: Path) -> Path:
    need_onnx2torch()
    file = data_root / 'models' / 'yolox_nano.onnx'
    if not file.is_file():
        pytest.skip('no detector there')
    return file


def test_the_judge_scores_as_the_detector_that_it_was_read_from(yolox: Path) -> None:
    onnxruntime = pytest.importorskip('onnxruntime')
    from gsc_ros.training.objects_loss import ObjectLoss
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 416, 416)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(yolox), providers=['CPUExecutionProvider'])
    (rows,) = session.run(None, {session.get_inputs()[0].name: pixels})
    with torch.no_grad():
        outputs = ObjectLoss(yolox).detector(torch.from_numpy(pixels))
    ours = torch.cat([out.flatten(2) for out in outputs], dim=2)[0].T
    np.testing.assert_allclose(ours.numpy(), rows[0], atol=2e-3)


def test_a_lost_object_costs_and_nothing_else_does(yolox: Path, data_root: Path) -> None:
    from gsc_ros.training.objects_loss import ObjectLoss
    picture = min((data_root / 'val' / 'coco128_train2017').glob('*.jpg'))
    real = pad_to_tensor(np.asarray(Image.open(picture).convert('RGB').resize((320, 320))), 32)
    made = nn.functional.interpolate(real, scale_factor=1 / 16, mode='area')
    made = nn.functional.interpolate(made, size=320, mode='bilinear').requires_grad_()
    loss = ObjectLoss(yolox)
    assert float(loss(real, real)) == pytest.approx(0, abs=1e-3)
    divergence = loss(made, real, 1.3)
    assert divergence.shape == (1,) and divergence.item() > 1e-3
    divergence.sum().backward()
    assert made.grad is not None and bool(made.grad.any())
