"""Shapes, starts and solvers of the networks, with tiny random weights."""
from pathlib import Path

from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models import checkpoint, learned_coder  # noqa: E402
from gsc_ros.models.autoencoder import Autoencoder, AutoencoderConfig  # noqa: E402
from gsc_ros.models.frames import crop_to_picture, pad_to_tensor  # noqa: E402
from gsc_ros.models.learned import LearnedConfig, LearnedTransform  # noqa: E402
from gsc_ros.prior.embedded import Condition, EmbeddedPrior, PriorConfig  # noqa: E402
from gsc_ros.prior.generator import load_prior  # noqa: E402
from gsc_ros.prior.sampling import draw_noise, integrate  # noqa: E402
from gsc_ros.prior.text import object_map, word_ids  # noqa: E402

TINY = AutoencoderConfig(4, (16, 16), (16, 16, 8), (1, 1), (1, 1, 1))
TINY_PRIOR = PriorConfig(TINY, (16, 16), (1, 1, 1), 16)
CAR = SceneObject(2, 0.9, (0.25, 0.5, 0.5, 0.75))


def condition(caption: str = '', objects: tuple[SceneObject, ...] = ()) -> Condition:
    latent = draw_noise((1, 4, 8, 8), 1)
    return Condition.build(latent, [0.01], [2], [caption], [objects])


def lively_prior() -> EmbeddedPrior:
    """No zero-initialised weights left, so that every input shows in the output."""
    torch.manual_seed(0)
    prior = EmbeddedPrior(TINY_PRIOR).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior


def test_autoencoder_shapes() -> None:
    model = Autoencoder(TINY)
    latent = model.encode(torch.zeros(2, 3, 32, 48))
    assert latent.shape == (2, 4, 4, 6)
    assert model.decode(latent).shape == (2, 3, 32, 48)


def test_whitening_brings_latents_to_unit_scale() -> None:
    torch.manual_seed(0)
    model, pictures = Autoencoder(TINY), torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        for _ in range(300):
            model.track_statistics(model.encode(pictures), 0.1)
        latent = model.encode(pictures)
    std, mean = torch.std_mean(latent, dim=(0, 2, 3))
    torch.testing.assert_close(std, torch.ones(4), rtol=0.1, atol=0.1)
    torch.testing.assert_close(mean, torch.zeros(4), rtol=0, atol=0.1)


@pytest.mark.parametrize('size', [(16, 16), (33, 70), (120, 160)])
def test_padding_is_undone(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    tensor = pad_to_tensor(picture, 32)
    assert tensor.shape[2] % 32 == 0 and tensor.shape[3] % 32 == 0
    np.testing.assert_array_equal(crop_to_picture(tensor, size[1], size[0]), picture)


def test_untrained_prior_returns_the_decoded_latent() -> None:
    prior, facts = EmbeddedPrior(TINY_PRIOR), condition()
    start = prior.start(draw_noise((1, 4, 8, 8), 0), facts)
    out = integrate(prior, start, facts, prior.times(1, facts))
    torch.testing.assert_close(out, facts.latent)


def test_velocity_of_a_straight_path_is_followed_exactly() -> None:
    class Line:
        def start(self, noise, facts):  # type: ignore[no-untyped-def]
            return noise

        def velocity(self, x, t, facts):  # type: ignore[no-untyped-def]
            return torch.full_like(x, 3.0)
    start = torch.zeros(1, 4, 8, 8)
    for steps in (1, 2, 5):
        out = integrate(Line(), start, condition(), torch.linspace(1, 0, steps + 1))
        torch.testing.assert_close(out, torch.full_like(start, -3.0))


def test_same_seed_same_noise_other_seed_other_noise() -> None:
    assert torch.equal(draw_noise((3, 4), 5), draw_noise((3, 4), 5))
    assert not torch.equal(draw_noise((3, 4), 5), draw_noise((3, 4), 6))


@pytest.mark.parametrize('other', [condition('a red car on the road'), condition('', (CAR,))])
def test_caption_and_objects_change_the_velocity(other: Condition) -> None:
    prior, x, t = lively_prior(), draw_noise((1, 4, 8, 8), 2), torch.tensor([0.7])
    with torch.no_grad():
        assert not torch.equal(prior.velocity(x, t, condition()), prior.velocity(x, t, other))


def test_objects_are_painted_where_they_are() -> None:
    painted = object_map([CAR], 8, 8)
    assert painted[2, 4:6, 2:4].min() == pytest.approx(0.9)
    assert painted[2].count_nonzero() == 4 and painted[80].max() == 1


def test_words_are_case_and_plural_blind() -> None:
    assert word_ids('Two CARS!') == word_ids('two car')
    assert word_ids('') == [] and len(word_ids('word ' * 100)) == 32


def test_learned_transform_shapes_and_gain() -> None:
    model = LearnedTransform(LearnedConfig(4, 8, (16, 16, 16), 2, 16, 4))
    quality = torch.tensor([0.5, 3.0])
    scaled, symbols = model.quantise(draw_noise((2, 4, 16, 16), 0), quality)
    assert symbols.shape == (2, 8, 4, 4) and torch.equal(symbols, symbols.round())
    assert model.synthesise(symbols, quality).shape == (2, 4, 16, 16)
    assert model.bits(scaled, symbols, quality.round()).shape == (2,)
    gains = model.gain(torch.tensor([0.0, 0.5, 1.0]))[:, 0, 0, 0].detach()
    assert float(gains[1]) == pytest.approx(float((gains[0] * gains[2]) ** 0.5), rel=1e-4)


def test_checkpoints_round_trip_and_name_what_is_wrong(tmp_path: Path) -> None:
    model, file = Autoencoder(TINY), tmp_path / 'a.safetensors'
    checkpoint.save(model, TINY, file, half=False)
    loaded = checkpoint.load(Autoencoder, AutoencoderConfig, file)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)
    with pytest.raises(CheckpointError, match='gsc train'):
        checkpoint.load(Autoencoder, AutoencoderConfig, tmp_path / 'missing')
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='a.safetensors'):
        checkpoint.load(Autoencoder, AutoencoderConfig, file)


@pytest.mark.parametrize('device', ['gpu', 'cuda:77', ''])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(InvalidInputError, match='device'):
        load_prior(device)


@pytest.mark.parametrize('content', [None, b'', b'no tensors'])
def test_a_damaged_context_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                          content: bytes | None) -> None:
    file = tmp_path / 'learned_context.safetensors'
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(learned_coder, 'CONTEXT_FILE', file)
    with pytest.raises(CheckpointError, match='learned_context'):
        learned_coder.LearnedCoder.load()
