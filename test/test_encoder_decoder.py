"""Picture to packet to picture, with the shipped models."""
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gsc_ros.codec.bitstream import HEADER_BYTES, pack, unpack
from gsc_ros.codec.errors import (
    BudgetError,
    CheckpointError,
    GscError,
    InvalidInputError,
    ModelMismatchError,
)
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import MissingReferenceError, ReceiverReferences, SenderReferences
import numpy as np
from PIL import Image
import pytest

pytest.importorskip('torch')

from gsc_ros import decoder as decoder_module  # noqa: E402
from gsc_ros.decoder import DecodedPicture, SemanticDecoder  # noqa: E402
from gsc_ros.encoder import SemanticEncoder  # noqa: E402

CAR = SceneObject(2, 0.9, (0.1, 0.4, 0.5, 0.8))
BUDGETS = (150, 200, 300, 500, 800, 1300, 2500, 4000)


def scene(height: int = 96, width: int = 128) -> np.ndarray:
    """Paint a sky, a road and a box: something that codecs can code."""
    y, x = np.mgrid[:height, :width]
    down, right = y / height, x / width
    picture = np.stack([90 + 80 * down, 120 + 40 * right, 220 - 160 * down], axis=2)
    picture[height // 2:, width // 4:width // 2] = (200, 30, 40)
    return picture.astype(np.uint8)


@pytest.fixture(scope='module')
def decoder() -> SemanticDecoder:
    return SemanticDecoder()


@pytest.fixture(scope='module', params=['hevc', 'learned'])
def encoder(request: pytest.FixtureRequest) -> SemanticEncoder:
    return SemanticEncoder(request.param)


@pytest.fixture(scope='module')
def automatic() -> SemanticEncoder:
    return SemanticEncoder()


def packet(encoder: SemanticEncoder, **options: object) -> bytes:
    return encoder.encode(scene(), 600, caption='a red box on the road', objects=[CAR],
                          **options)  # type: ignore[arg-type]


def test_everything_sent_arrives(encoder: SemanticEncoder, decoder: SemanticDecoder) -> None:
    data = packet(encoder, sequence=65537, seed=7)
    decoded = decoder.decode(data, generate=True)
    assert len(data) <= 600 and decoded.bpp == pytest.approx(8 * len(data) / (96 * 128))
    assert decoded.packet.sequence == 1 and decoded.packet.seed == 7
    assert decoded.caption == 'a red box on the road'
    assert decoded.objects[0].class_id == 2
    assert decoded.plain.shape == decoded.picture.shape == scene().shape
    assert decoded.regenerated is decoded.picture


def test_the_plain_picture_resembles_the_source(encoder: SemanticEncoder,
                                                decoder: SemanticDecoder) -> None:
    decoded = decoder.decode(packet(encoder), generate=False)
    assert decoded.regenerated is None
    error = np.abs(decoded.plain.astype(float) - scene()).mean()
    assert error < 12
    assert np.abs(decoded.plain[::-1].astype(float) - scene()).mean() > 2 * error


def test_text_is_left_out_before_the_picture_is(encoder: SemanticEncoder) -> None:
    words = 'a very long caption that goes on and on about boxes and roads'
    small = unpack(encoder.encode(scene(), 200, caption=words, objects=[CAR] * 30))
    room = 200 - HEADER_BYTES
    assert len(small.caption) + len(small.objects) <= room / 4 and small.objects


def test_seed_caption_and_steps_change_what_is_generated(decoder: SemanticDecoder) -> None:
    encoder = SemanticEncoder('hevc')

    def generate(data: bytes, **options: int) -> DecodedPicture:
        return decoder.decode(data, generate=True, **options)  # type: ignore[arg-type]
    data = packet(encoder)
    first = generate(data).picture
    np.testing.assert_array_equal(first, generate(data).picture)
    assert not np.array_equal(first, generate(data, seed=99).picture)
    assert not np.array_equal(first, generate(data, steps=4).picture)
    other = pack(replace(unpack(data), caption=b''))
    assert not np.array_equal(first, generate(other).picture)


def test_from_faithful_to_crisp(decoder: SemanticDecoder) -> None:
    data = packet(SemanticEncoder('hevc'))
    plain = decoder.decode(data, generate=False).plain.astype(int)
    faithful, even, crisp = (
        decoder.decode(data, generate=True, crispness=share).picture.astype(int)
        for share in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(faithful, plain)
    assert np.abs(even - (plain + crisp) / 2).max() <= 1
    assert np.abs(crisp - plain).mean() > 1


@pytest.mark.slow
def test_what_lost_little_is_not_made_anew(decoder: SemanticDecoder) -> None:
    """By default: a flat picture, which is sent at full size, however few bytes it takes."""
    encoder = SemanticEncoder('hevc')
    flat = np.full((480, 640, 3), 90, np.uint8)
    flat[200:300, 100:300] = 160
    tiles = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    busy = tiles.repeat(8, 0).repeat(8, 1)
    whole, shrunk = (encoder.encode(picture, 400) for picture in (flat, busy))
    assert unpack(whole).quality == 0 and unpack(shrunk).quality > 8
    assert decoder.decode(whole).regenerated is None
    assert decoder.decode(whole, generate=True).regenerated is not None
    assert decoder.decode(shrunk).regenerated is not None


def test_another_model_is_refused(decoder: SemanticDecoder) -> None:
    original = unpack(packet(SemanticEncoder('learned')))
    data = pack(replace(original, fingerprint=original.fingerprint ^ 1))
    with pytest.raises(ModelMismatchError, match='same gsc_ros version'):
        decoder.decode(data)


@pytest.mark.slow
@pytest.mark.parametrize(('temporal', 'max_bytes'), [
    (False, -5), (False, 0), (False, 16), (False, 17), (True, -5), (True, 0), (True, 6)])
def test_too_small_a_budget_names_the_smallest(encoder: SemanticEncoder, max_bytes: int,
                                               temporal: bool) -> None:
    references = SenderReferences() if temporal else None
    if references is not None:
        encoder.encode(scene(480, 640), 500, sequence=1, references=references)
        references.acknowledge(1)
    with pytest.raises(BudgetError, match=f'max_bytes={max_bytes} ') as caught:
        encoder.encode(scene(480, 640), max_bytes, sequence=2, references=references)
    smallest = caught.value.smallest
    data = encoder.encode(scene(480, 640), smallest, sequence=3, references=references)
    assert (6 if temporal else 17) < len(data) <= smallest < 500


@pytest.mark.parametrize('picture', [
    np.zeros((8, 8, 3), np.uint8), np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3)),
    np.zeros((32, 5000, 3), np.uint8), None])
def test_unusable_pictures_are_refused(encoder: SemanticEncoder, picture: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        encoder.encode(picture, 500)


def test_bad_arguments_are_refused(decoder: SemanticDecoder) -> None:
    with pytest.raises(InvalidInputError, match='coder'):
        SemanticEncoder('jpeg')
    for crispness in (-0.1, 1.1, float('nan')):
        with pytest.raises(InvalidInputError, match='crispness'):
            decoder.decode(packet(SemanticEncoder('hevc')), crispness=crispness)
    for steps in (0, 65):
        with pytest.raises(InvalidInputError, match='steps'):
            decoder.decode(packet(SemanticEncoder('hevc')), steps=steps)


@pytest.mark.slow
@pytest.mark.parametrize('size', [(16, 16), (17, 33), (120, 160), (1080, 1920)])
def test_any_size_comes_back(encoder: SemanticEncoder, decoder: SemanticDecoder,
                             size: tuple[int, int]) -> None:
    decoded = decoder.decode(encoder.encode(scene(*size), 4000), generate=size[0] < 200)
    assert decoded.picture.shape == (*size, 3)


def mutations(data: bytes) -> Iterator[bytes]:
    """Cut and lengthened at, and one bit flipped in, every byte; the CRC as it was."""
    for i in range(len(data)):
        yield data[:i]
        yield data[:i] + bytes([data[i] ^ (1 << i % 8)]) + data[i + 1:]
        yield data[:i] + b'\x00' + data[i:]


def repaired(data: bytes) -> Iterator[bytes]:
    """Damaged latents behind a right CRC, as an attacker or a bug would send them."""
    original = unpack(data)
    latent = original.latent
    for i in range(0, len(latent), 3):
        for damaged in (latent[:i], latent[:i] + bytes([latent[i] ^ 0x55]) + latent[i + 1:]):
            yield pack(replace(original, latent=damaged))


def test_damaged_packets_give_typed_errors_or_pictures(encoder: SemanticEncoder,
                                                       decoder: SemanticDecoder) -> None:
    data = encoder.encode(scene(48, 64), 300, caption='a box', objects=[CAR])
    outcomes = {'error': 0, 'picture': 0}
    for damaged in [*mutations(data), *repaired(data)]:
        try:
            decoded = decoder.decode(damaged, generate=False)
        except GscError:
            outcomes['error'] += 1
        else:
            outcomes['picture'] += 1
            assert decoded.plain.dtype == np.uint8
    assert outcomes['error'] > len(data)


def stream(count: int) -> list[bytes]:
    """Packets of a moving scene, each picture acknowledged at once."""
    encoder, references, packets = SemanticEncoder('hevc'), SenderReferences(), []
    for number in range(count):
        packets.append(encoder.encode(
            np.roll(scene(), 3 * number, axis=1), 300, caption='a red box', objects=[CAR],
            sequence=number, references=references))
        references.acknowledge(number)
    return packets


def test_a_stream_that_is_followed_looks_like_one_that_is_watched(
        decoder: SemanticDecoder) -> None:
    packets = stream(4)
    assert [unpack(data).reference for data in packets] == [None, 1, 1, 1]
    watched, followed = ReceiverReferences(), ReceiverReferences()
    for data in packets[:-1]:
        decoder.decode(data, generate=False, references=watched)
        decoder.follow(data, followed)
    results = [decoder.decode(packets[-1], generate=False, references=references)
               for references in (watched, followed)]
    np.testing.assert_array_equal(results[0].plain, results[1].plain)
    assert results[0].caption == 'a red box' and len(results[0].objects) == 1
    assert unpack(packets[-1]).text_repeats
    error = np.abs(results[0].plain.astype(float) - np.roll(scene(), 9, axis=1)).mean()
    assert error < 12
    for missing in (None, ReceiverReferences()):
        with pytest.raises(MissingReferenceError, match='picture 2'):
            decoder.decode(packets[-1], references=missing)


def test_a_small_packet_of_a_sharp_picture_is_generated_as_one(
        decoder: SemanticDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(decoder._generator, 'regenerate',
                        lambda plain, **options: rates.append(options['bpp']) or plain)
    references = ReceiverReferences()
    for data in stream(3):
        decoder.decode(data, generate=True, references=references)
    assert min(rates) == rates[0] and max(rates) < 2 * rates[0]


def test_learned_packets_stand_alone_in_a_stream(decoder: SemanticDecoder) -> None:
    encoder, references = SemanticEncoder('learned'), SenderReferences()
    held = ReceiverReferences()
    for number in range(2):
        data = encoder.encode(scene(), 600, sequence=number, references=references)
        references.acknowledge(number)
        decoder.follow(data, held)
        assert unpack(data).reference is None
        assert decoder.decode(data, generate=False, references=held).plain.any()


def test_models_are_looked_for_at_once_and_loaded_when_needed(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: str) -> None:
        raise AssertionError('loaded too early')
    monkeypatch.setattr('gsc_ros.prior.generator.load_generator', refuse)
    monkeypatch.setattr('gsc_ros.models.learned_coder.LearnedCoder.load', refuse)
    SemanticDecoder().decode(packet(SemanticEncoder('hevc')), generate=False)
    with pytest.raises(AssertionError, match='too early'):
        SemanticDecoder().decode(packet(SemanticEncoder('hevc')), generate=True)
    with pytest.raises(AssertionError, match='too early'):
        SemanticDecoder().preload()
    damaged = tmp_path / 'prior.safetensors'
    for _ in range(2):
        monkeypatch.setattr(decoder_module, 'PRIOR_FILE', damaged)
        with pytest.raises(CheckpointError, match='prior.safetensors'):
            SemanticDecoder()
        damaged.write_bytes(b'not a checkpoint')


def stills(data_root: Path) -> list[Path]:
    return sorted((data_root / 'val').glob('*/*.jpg'))


@pytest.mark.slow
def test_budgets_hold_on_validation_stills(automatic: SemanticEncoder, data_root: Path) -> None:
    for i, path in enumerate(stills(data_root)[::5]):
        picture = np.asarray(Image.open(path).convert('RGB'))
        budget = BUDGETS[i % len(BUDGETS)]
        data = automatic.encode(picture, budget, caption='a street with cars', objects=[CAR])
        assert len(data) <= budget, path.name
