"""8-bit convolutions against the float ones they replace."""
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models import int8  # noqa: E402
from gsc_ros.models.layers import ResBlock  # noqa: E402
from gsc_ros.prior.generator import Generator, load_generator, load_prior  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.skipif(not int8.supported('cpu'),
                                reason='this processor has no 8-bit instructions (VNNI)')


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Seeded weights, no graphs."""
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def relative(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize('layer', [
    nn.Conv2d(32, 24, 3, padding=1), nn.Conv2d(40, 64, 4, stride=2, padding=1),
    nn.Conv2d(48, 16, 1, bias=False)], ids=['3x3', 'strided', 'no bias'])
@pytest.mark.parametrize('size', [(2, 2), (30, 41)])
@pytest.mark.parametrize('offset', [0.0, 3.0, -3.0])
def test_close_to_the_float_layer(layer: nn.Conv2d, size: tuple[int, int], offset: float) -> None:
    """Whatever the range: around zero, all positive, all negative."""
    x = torch.randn(1, layer.in_channels, *size) + offset
    assert relative(int8.Int8Conv2d(layer)(x), layer(x)) < 0.03


@pytest.mark.parametrize('value', [0.0, 1.0, -2.0, 1e-20, 1e20])
def test_flat_pictures(value: float) -> None:
    layer = nn.Conv2d(32, 8, 3)
    x = torch.full((1, 32, 8, 8), value)
    torch.testing.assert_close(int8.Int8Conv2d(layer)(x), layer(x), rtol=0.05,
                               atol=0.02 * max(abs(value), 1))


def test_each_picture_of_a_batch_has_its_own_range() -> None:
    layer = int8.Int8Conv2d(nn.Conv2d(32, 8, 3, padding=1))
    faint, strong = torch.randn(1, 32, 8, 8), 100 * torch.randn(1, 32, 8, 8)
    together = layer(torch.cat([faint, strong]))
    torch.testing.assert_close(together, torch.cat([layer(faint), layer(strong)]), rtol=0, atol=0)


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (30, 41)])
@pytest.mark.parametrize('condition', [0, 16])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_blocks_do_what_they_stand_for(size: tuple[int, int], condition: int,
                                       layout: torch.memory_format) -> None:
    block = ResBlock(32, condition)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 32, *size).to(memory_format=layout)
    facts = 3 * torch.randn(2, condition) if condition else None    # gains below 0, too
    expected = block(x, facts)
    ours = int8.Int8ResBlock(block)
    result = ours(x.clone(), facts)
    assert float((result - expected).square().mean().sqrt() / (expected - x).std()) < 0.03
    alone = ours(x[1:].clone(), None if facts is None else facts[1:])
    torch.testing.assert_close(result[1:], alone, rtol=0, atol=0)


def quantised(model: nn.Sequential) -> nn.Sequential:
    int8.quantise(model)
    return model


def test_narrow_layers_stay_in_floats() -> None:
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.SiLU(), nn.Conv2d(32, 3, 3))
    int8.quantise(model)
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.SiLU, int8.Int8Conv2d]
    assert type(quantised(nn.Sequential(ResBlock(32)))[0]) is int8.Int8ResBlock
    assert type(quantised(nn.Sequential(ResBlock(16)))[0]) is ResBlock


def test_only_the_cpu() -> None:
    assert not int8.supported('cuda')


def test_regenerates_the_same_picture() -> None:
    """The shipped prior on a smooth picture: about a grey level from its float self."""
    ramp = np.linspace(0, 255, 128, dtype=np.float32)
    waves = 40 * np.sin(ramp / 9)[:, None] * np.sin(ramp / 14)
    plain = np.clip(np.add.outer(ramp, ramp) / 2 + waves, 0, 255).astype(np.uint8)
    plain = np.stack([plain, plain.T, 255 - plain], axis=2)
    made, expected = (g.regenerate(plain, bpp=0.01, coder=1, caption='', objects=(), seed=0)
                      for g in (load_generator(), Generator(load_prior())))
    assert not np.array_equal(made, expected)
    assert np.sqrt(np.mean((made.astype(float) - expected) ** 2)) < 1.5
