"""Every family of stock models with tiny random weights: loaded, run, and against diffusers."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import CheckpointError, InvalidInputError, MissingDependencyError
from gsc_ros.codec.hevc.coder import decode_reference
from gsc_ros.codec.objects import SceneObject
import numpy as np
import pytest

pytest.importorskip('diffusers')

from gsc_ros.codec.bitstream import unpack  # noqa: E402
from gsc_ros.codec.resample import enlarge  # noqa: E402
from gsc_ros.encoder import SemanticEncoder  # noqa: E402
from gsc_ros.models.frames import crop_to_picture, pad_to_tensor  # noqa: E402
from gsc_ros.prior.consistency import PlanesConstraint  # noqa: E402
from gsc_ros.prior.embedded import PictureFacts  # noqa: E402
from gsc_ros.prior.generator import Generator  # noqa: E402
from gsc_ros.prior.sampling import draw_noise, integrate  # noqa: E402
from gsc_ros.prior.stock import load as stock_load  # noqa: E402
from gsc_ros.prior.stock.families import FAMILIES, UnknownPriorError  # noqa: E402
from gsc_ros.prior.stock.load import load_stock_prior, quantisation  # noqa: E402
from gsc_ros.prior.stock.prior import StockPrior  # noqa: E402
from gsc_ros.prior.stock.settings import StockSettings  # noqa: E402
import stock_models  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
NAMES = sorted(stock_models.TINY)
CAR = SceneObject(2, 0.9, (0.1, 0.5, 0.3, 0.75))
Make = Callable[..., StockPrior]


@pytest.fixture(scope='module')
def pipes() -> dict[str, Any]:
    return {}


@pytest.fixture
def make(pipes: dict[str, Any]) -> Make:
    """Prior of a family, its pipeline made once."""
    def build(name: str, **settings: Any) -> StockPrior:
        if name not in pipes:
            pipes[name] = stock_models.tiny(name)
        return StockPrior(FAMILIES[name](pipes[name], torch.float32), StockSettings(**settings))
    return build


def picture(height: int = 64, width: int = 80) -> np.ndarray:
    """Smooth colours with an edge."""
    rows, columns = np.mgrid[:height, :width]
    channels = [2 * rows, 3 * columns, 255 * (rows + columns > 70)]
    return np.stack(channels, 2).clip(0, 255).astype(np.uint8)


def regenerate(prior: StockPrior, plain: np.ndarray, **changed: Any) -> np.ndarray:
    given = {'bpp': 0.02, 'coder': 2, 'caption': 'a street', 'objects': [], 'seed': 1,
             'steps': 1} | changed
    return Generator(prior).regenerate(plain, **given)


@pytest.mark.parametrize('name', NAMES)
def test_saved_pipeline_goes_from_packet_to_picture(name: str, tmp_path: Path) -> None:
    stock_models.tiny(name).save_pretrained(tmp_path)
    prior = load_stock_prior(str(tmp_path), 'cpu', StockSettings(steps=1))
    source = picture(72, 96)    # not a multiple of 16
    found = decode_reference(unpack(SemanticEncoder('hevc').encode(
        source, 200, caption='a street', objects=[CAR])), None)
    plain = enlarge(found.planes, 96, 72)
    constraint = PlanesConstraint(found.planes, found.qp)
    made = regenerate(prior, plain, constraint=constraint, objects=[CAR])
    assert made.shape == plain.shape and made.dtype == np.uint8
    assert not np.array_equal(made, plain)


@pytest.mark.parametrize('name', NAMES)
def test_pure_noise_gives_what_the_pipeline_itself_makes(name: str, make: Make) -> None:
    """Packing, text, signs, time scale, guidance and shift of times all agree with diffusers."""
    prior, steps = make(name, start=1.0), 3
    latent = prior.to_latent(torch.zeros(1, 3, 64, 80))
    noise = draw_noise(tuple(latent.shape), 3)
    with torch.no_grad():
        condition = prior.condition(latent, [PictureFacts(0.01, 2, 'a street')])
        start = prior.start(noise, condition)
        clean = integrate(prior, start, condition, prior.times(steps, condition))
        ours = prior.to_picture(clean)
    theirs = diffusers_picture(prior, name, noise, steps)
    torch.testing.assert_close((ours / 2 + 0.5).clamp(0, 1), theirs, rtol=0, atol=2e-4)


def diffusers_picture(prior: StockPrior, name: str, noise: torch.Tensor, steps: int
                      ) -> torch.Tensor:
    from gsc_ros.prior.stock.family import patches, tokens
    pipe = prior.family.pipe
    extra: dict[str, Any] = {'guidance_scale': prior.family.guidance}
    latents = noise
    if name == 'FluxPipeline':
        latents, extra['max_sequence_length'] = tokens(patches(noise)), 256
    if name == 'ZImagePipeline':
        extra['guidance_scale'] = 0.0   # there 0 means one pass
    sigmas = np.linspace(1.0, 1 / steps, steps).tolist()
    return pipe(prompt='a street', height=64, width=80, num_inference_steps=steps, sigmas=sigmas,
                latents=latents, output_type='pt', **extra).images


@pytest.mark.parametrize('name', NAMES)
def test_no_time_to_flow_leaves_the_round_trip_of_the_autoencoder(name: str, make: Make) -> None:
    prior, plain = make(name, start=1e-6, consistency=0.0), picture()
    with torch.no_grad():
        trip = prior.to_picture(prior.to_latent(pad_to_tensor(plain, prior.stride)))
    made = regenerate(prior, plain)
    np.testing.assert_allclose(made, crop_to_picture(trip, 80, 64).astype(int), atol=1)


@pytest.mark.parametrize('name', NAMES)
def test_seed_caption_and_objects_show_in_the_picture(name: str, make: Make) -> None:
    prior, plain = make(name, start=0.9, consistency=0.0), picture()
    first = regenerate(prior, plain, steps=2)
    np.testing.assert_array_equal(first, regenerate(prior, plain, steps=2))
    for changed in ({'seed': 2}, {'caption': 'red deer'}, {'objects': [CAR]}):
        assert not np.array_equal(first, regenerate(prior, plain, steps=2, **changed)), changed


def test_base_klein_and_guided_diffusion_run_a_second_pass(make: Make) -> None:
    prior, plain = make('StableDiffusion3Pipeline', guidance=5.0, start=0.9), picture()
    unguided = make('StableDiffusion3Pipeline', start=0.9)
    assert not np.array_equal(regenerate(prior, plain), regenerate(unguided, plain))
    base = FAMILIES['Flux2KleinPipeline'](stock_models.flux2_klein(False), torch.float32)
    assert base.guidance == 4.0 and not base.embeds_guidance


def test_texts_are_encoded_once_while_the_caption_stands(
        make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    prior, asked = make('ZImagePipeline'), []
    embed = prior.family.embed
    monkeypatch.setattr(prior.family, 'embed', lambda text: (asked.append(text), embed(text))[1])
    for caption in ('a dog', 'a dog', 'a cat', 'a dog'):
        regenerate(prior, picture(), caption=caption)
    assert asked == ['a dog', 'a cat']


def test_cameras_in_one_batch_get_the_pictures_that_they_get_alone(make: Make) -> None:
    from gsc_ros.prior.generator import Job
    prior = make('FluxPipeline')
    jobs = [Job(picture(), PictureFacts(0.01, 2, 'a dog'), 1),
            Job(picture(48, 64), PictureFacts(0.01, 2), 1),
            Job(picture()[::-1].copy(), PictureFacts(0.04, 2, 'a long caption of a cat'), 2)]
    together = Generator(prior).regenerate_batch(jobs, 2)
    for job, made in zip(jobs, together, strict=True):
        (alone,) = Generator(prior).regenerate_batch([job], 2)
        np.testing.assert_allclose(made, alone.astype(int), atol=1)


def test_shift_and_scale_of_the_autoencoder_are_honoured(make: Make) -> None:
    prior = make('FluxPipeline')
    raw = draw_noise((1, 4, 8, 8), 0)
    with torch.no_grad():
        rgb = prior.family.pipe.vae.decode(raw).sample
        mode = prior.family.pipe.vae.encode(rgb).latent_dist.mode()
        torch.testing.assert_close(prior.to_latent(rgb), (mode - 0.12) * 0.36)
        torch.testing.assert_close(prior.to_picture((raw - 0.12) * 0.36), rgb)


def test_batch_statistics_of_flux2_are_honoured(make: Make) -> None:
    prior = make('Flux2KleinPipeline')
    bn = prior.family.pipe.vae.bn
    rgb = torch.tanh(draw_noise((1, 3, 64, 64), 0))
    with torch.no_grad():
        raw = torch.pixel_unshuffle(prior.family.pipe.vae.encode(rgb).latent_dist.mode(), 2)
        torch.testing.assert_close(prior.to_latent(rgb), bn.eval()(raw))


def test_unknown_models_are_named_with_those_that_work(tmp_path: Path) -> None:
    (tmp_path / 'model_index.json').write_text('{"_class_name": "PixArtSigmaPipeline"}')
    with pytest.raises(UnknownPriorError, match='PixArtSigma.*FluxPipeline.*ZImagePipeline'):
        load_stock_prior(str(tmp_path))


def test_what_is_missing_is_said_with_its_cure(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match='gsc fetch-prior nobody/nothing'):
        load_stock_prior('nobody/nothing')
    with pytest.raises(CheckpointError, match='model_index.json'):
        load_stock_prior(str(tmp_path))
    monkeypatch.setattr(stock_load, 'find_spec', lambda name: None)
    with pytest.raises(MissingDependencyError, match='pip install bitsandbytes'):
        quantisation('int4', FAMILIES['FluxPipeline'], torch.bfloat16)


def test_few_bits_are_refused_on_a_cpu() -> None:
    with pytest.raises(InvalidInputError, match='weights is int4.*full on a CPU'):
        load_stock_prior('anything', 'cpu', StockSettings(weights='int4'))


def test_damaged_weights_are_a_checkpoint_error(tmp_path: Path) -> None:
    stock_models.tiny('ZImagePipeline').save_pretrained(tmp_path)
    file = next((tmp_path / 'transformer').glob('*.safetensors'))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cannot be loaded as ZImagePipeline'):
        load_stock_prior(str(tmp_path))


@pytest.mark.parametrize('wrong', [{'steps': 0}, {'start': 0.0}, {'consistency': 1.1},
                                   {'weights': 'int2'}, {'guidance': 0.5}])
def test_settings_outside_their_ranges_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        StockSettings(**wrong)
