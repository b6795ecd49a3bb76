"""Packets made from acknowledged pictures: savings, loss, wrapping, wrong references, damage."""

from __future__ import annotations

from dataclasses import replace
import hashlib
import json
from pathlib import Path

from gsc_ros.codec.bitstream import HEADER_BYTES, pack, unpack
from gsc_ros.codec.errors import (
    BudgetError,
    MissingDependencyError,
    ModelMismatchError,
    PacketError,
)
from gsc_ros.codec.hevc import headers as hevc_headers
from gsc_ros.codec.hevc import inter as hevc_inter
from gsc_ros.codec.hevc import streams as hevc_streams
from gsc_ros.codec.hevc.coder import decode_reference, INTER_FINGERPRINT
from gsc_ros.codec.hevc.streams import decode_inter, decode_planes, encode_inter, encode_planes
from gsc_ros.codec.hevc.syntax import parameter_sets
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import (
    MAX_PICTURES,
    MissingReferenceError,
    ReceiverReferences,
    SenderReferences,
)
from gsc_ros.codec.resample import enlarge, shrink
from gsc_ros.encoder import SemanticEncoder
import numpy as np
import pytest

GOLDEN = Path(__file__).parent / 'golden'
WIDTH, HEIGHT, LIMIT = 128, 96, 220
CAR = SceneObject(2, 0.9, (0.1, 0.4, 0.5, 0.8))
ENCODER = SemanticEncoder('hevc')


def scene(shift=0, noise_seed=None, width=WIDTH, height=HEIGHT):
    """Shading and boxes; ``shift`` moves one of them by as many columns."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    picture = np.stack([40 + 150 * y / height, 80 + 100 * x / width, 200 - 120 * y / height], -1)
    for _ in range(12):
        left, top = rng.integers(0, width), rng.integers(0, height)
        inside = (abs(x - left) < width / 9) & (abs(y - top) < height / 9)
        picture[inside] = rng.integers(0, 256, 3)
    picture[(abs(x - width / 4 - shift) < 12) & (abs(y - height / 2) < 9)] = (200, 30, 40)
    if noise_seed is not None:
        picture = picture + np.random.default_rng(noise_seed).normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def psnr(first, second):
    return 10 * np.log10(255 ** 2 / np.mean((first.astype(float) - second) ** 2))


def encode(picture, sequence, sender, limit=LIMIT, **options):
    data = ENCODER.encode(picture, limit, sequence=sequence, references=sender, **options)
    assert len(data) <= limit
    return data


def decode(data, receiver):
    packet = unpack(data)
    found = decode_reference(packet, receiver)
    return enlarge(found.planes, found.width, found.height)


def chain(pictures, first=0, **options):
    """Packets of pictures that are all acknowledged at once, and both ends."""
    sender, receiver, packets = SenderReferences(), ReceiverReferences(), []
    for number, picture in enumerate(pictures, start=first):
        packets.append(encode(picture, number, sender, **options))
        decode(packets[-1], receiver)
        sender.acknowledge(number % 65536)
    return packets, sender, receiver


def test_without_references_nothing_changes():
    alone = ENCODER.encode(scene(), LIMIT, sequence=5)
    assert encode(scene(), 5, SenderReferences()) == alone
    assert unpack(alone).reference is None


def test_without_acknowledgements_every_packet_stands_alone():
    sender = SenderReferences()
    for number in range(3):
        packet = unpack(encode(scene(3 * number), number, sender))
        assert packet.reference is None
        decode_reference(packet, None)


def test_a_still_scene_costs_a_tenth_and_gets_sharper():
    pictures = [scene(noise_seed=number) for number in range(6)]
    packets, _, _ = chain(pictures)
    assert len(packets[0]) > 0.85 * LIMIT
    assert len(packets[-1]) <= HEADER_BYTES + 12
    receiver = ReceiverReferences()
    values = [psnr(decode(data, receiver), scene()) for data in packets]
    assert min(values) == values[0]
    assert values[-1] > values[0] + 0.1


def test_a_moving_box_costs_less_than_the_picture_anew():
    packets, _, _ = chain([scene(4 * number) for number in range(6)])
    assert all(unpack(data).reference == 1 for data in packets[1:])
    assert np.mean([len(data) for data in packets[2:]]) < 0.5 * len(packets[0])
    receiver = ReceiverReferences()
    for number, data in enumerate(packets):
        moved = scene(4 * number)
        alone = decode(ENCODER.encode(moved, LIMIT), None)
        assert psnr(decode(data, receiver), moved) > psnr(alone, moved) - 0.3


def test_another_scene_stands_alone_or_looks_as_if_it_did():
    other = scene()[::-1, ::-1].copy()
    packets, _, receiver = chain([scene(), other])
    alone = ENCODER.encode(other, LIMIT)
    assert psnr(decode(packets[1], receiver), other) > psnr(decode(alone, None), other) - 0.5


def test_a_larger_ceiling_is_used():
    sender = SenderReferences()
    encode(scene(), 0, sender, limit=120)
    sender.acknowledge(0)
    data = encode(scene(), 1, sender, limit=1500)
    assert unpack(data).reference is None and len(data) > 600


def test_lost_packets_spoil_nothing():
    sender, receiver = SenderReferences(), ReceiverReferences()
    rng = np.random.default_rng(0)
    under_way, shown, predicted = [], 0, 0
    for number in range(24):
        data = encode(scene(number), number, sender)
        if rng.random() < 0.6:      # arrives; the acknowledgement takes three pictures
            under_way.append(number)
            try:
                assert psnr(decode(data, receiver), scene(number)) > 21
            except MissingReferenceError:
                continue            # what it was made from is lost
            predicted += unpack(data).reference is not None
            shown += 1
        sender.acknowledge(*(n for n in under_way if n <= number - 3))
    assert shown > 8 and predicted > shown / 2


def test_a_reported_loss_is_repaired_from_what_the_base_station_holds():
    """The newest that was sent is coded from, until a later one is acknowledged and not that."""
    sender = SenderReferences()
    packets = [unpack(encode(scene(number), number, sender)) for number in range(2)]
    assert [packet.reference for packet in packets] == [None, None]
    sender.acknowledge(0)
    chained = [unpack(encode(scene(number), number, sender)) for number in range(2, 5)]
    assert [packet.reference for packet in chained] == [1, 1, 1]
    sender.acknowledge(1, 3)        # 2 is lost, and with it what 3 and 4 were made from
    repaired = unpack(encode(scene(5), 5, sender))
    assert repaired.reference == 4
    assert sender.loss == pytest.approx(1 / 16, abs=0.01)


def test_a_lossy_link_is_not_built_on():
    """Where half of the pictures are lost, each is made from one that is surely there."""
    sender = SenderReferences()
    encode(scene(), 0, sender)
    sender.acknowledge(0)
    sender.loss = 0.5
    packets = [unpack(encode(scene(), number, sender)) for number in range(1, 6)]
    assert [packet.reference for packet in packets] == [1, 2, 3, 4, 5]


def test_a_candidate_that_does_not_fit_does_not_lose_the_other():
    """Sixteen bytes: from the newest that fits, from the one that is held it does not."""
    sender = SenderReferences()
    encode(scene(), 0, sender)
    sender.acknowledge(0)
    other = scene()[::-1, ::-1].copy()
    encode(other, 1, sender)
    sender.loss = 0.3
    packet = unpack(encode(other, 2, sender, limit=16))
    assert packet.reference == 1


def test_a_silent_base_station_is_not_built_on():
    """After sixteen pictures without an acknowledgement the newest that was told of serves."""
    sender = SenderReferences()
    encode(scene(), 0, sender)
    sender.acknowledge(0)
    packets = [unpack(encode(scene(2 * number), number, sender)) for number in range(1, 19)]
    assert [packet.reference for packet in packets[:16]] == [1] * 16
    assert packets[17].reference == 18


def test_sequence_numbers_wrap():
    packets, _, _ = chain([scene(number) for number in range(4)], first=65534)
    assert [unpack(data).sequence for data in packets] == [65534, 65535, 0, 1]
    assert [unpack(data).reference for data in packets] == [None, 1, 1, 1]


def test_a_reference_that_is_gone_is_named():
    packets, _, _ = chain([scene(), scene(3)], first=7)
    for receiver in (None, ReceiverReferences()):
        with pytest.raises(MissingReferenceError, match='picture 7') as caught:
            decode(packets[1], receiver)
        assert caught.value.sequence == 7


def test_another_picture_under_the_number_is_noticed():
    packets, _, _ = chain([scene(), scene(3)])
    receiver = ReceiverReferences()
    decode(ENCODER.encode(scene(20), LIMIT, sequence=0), receiver)
    with pytest.raises(MissingReferenceError, match='another'):
        decode(packets[1], receiver)
    decode(ENCODER.encode(scene(width=200), LIMIT, sequence=0), receiver)
    with pytest.raises(MissingReferenceError, match='another'):
        decode(packets[1], receiver)


def test_refresh_forgets_what_is_held_and_what_is_under_way():
    _, sender, _ = chain([scene()])
    encode(scene(), 1, sender)
    sender.refresh()
    sender.acknowledge(1)
    assert unpack(encode(scene(), 2, sender)).reference is None


def test_old_and_unknown_acknowledgements_are_ignored():
    sender = SenderReferences()
    for number in range(3):
        encode(scene(number), number, sender)
    for number in (2, 1, 0, 999, 2):
        sender.acknowledge(number)
    assert unpack(encode(scene(3), 3, sender)).reference == 1


def test_references_out_of_reach_are_not_used():
    _, sender, _ = chain([scene()])
    assert sender.held(MAX_PICTURES, WIDTH, HEIGHT)
    assert sender.held(MAX_PICTURES + 1, WIDTH, HEIGHT) is None
    assert sender.held(0, WIDTH, HEIGHT) is None
    assert sender.held(1, WIDTH, HEIGHT + 8) is None
    _, sender, _ = chain([scene()], first=40000)
    assert sender.held(39999, WIDTH, HEIGHT) is None


def test_both_ends_keep_a_bounded_number_and_what_they_may_need():
    packets, sender, receiver = chain([scene()])
    packet = unpack(packets[0])
    small = shrink(scene(), 16, 16)
    kept = replace(sender.held(1, WIDTH, HEIGHT), sequence=0)
    reference = replace(kept.reference, planes=small)
    for number in range(3 * MAX_PICTURES):
        sender.sent(replace(kept, sequence=number, reference=reference))
        receiver.keep(number, reference)
    assert len(sender._pictures) == len(receiver._pictures) == MAX_PICTURES
    oldest = replace(packet, sequence=3 * MAX_PICTURES, reference=MAX_PICTURES,
                     latent=reference.checked(1))
    assert receiver.find(oldest) is reference
    with pytest.raises(MissingReferenceError):
        receiver.find(replace(oldest, reference=MAX_PICTURES + 1))


def test_pictures_too_large_to_keep_are_not_kept():
    _, sender, receiver = chain([scene()])
    kept = sender.held(1, WIDTH, HEIGHT)
    large = replace(kept.reference, planes=(np.zeros((1600, 1600), np.uint8),) * 3)
    sender.sent(replace(kept, sequence=1, reference=large))
    sender.acknowledge(1)
    assert sender.held(2, WIDTH, HEIGHT) is kept
    receiver.keep(0, large)
    assert not receiver._pictures


def test_unchanged_text_is_not_sent_again():
    sender, receiver = SenderReferences(), ReceiverReferences()
    texts = [('a red box', [CAR]), ('a red box', [CAR]), ('a red box', [CAR]), ('a box', [CAR]),
             ('a box', [])]
    for number, (caption, objects) in enumerate(texts):
        packet = unpack(encode(scene(), number, sender, caption=caption, objects=objects))
        alone = unpack(ENCODER.encode(scene(), LIMIT, caption=caption, objects=objects))
        found = decode_reference(packet, receiver)
        assert (found.caption_bytes, found.object_bytes) == (alone.caption, alone.objects)
        assert packet.text_repeats == (number in (1, 2))
        sender.acknowledge(number)


def test_text_that_was_cut_is_sent_when_there_is_room():
    sender, words = SenderReferences(), 'a long caption on the box, the sky and the road below'
    first = unpack(encode(scene(), 0, sender, limit=70, caption=words))
    sender.acknowledge(0)
    second = unpack(encode(scene(), 1, sender, limit=400, caption=words))
    assert len(second.caption) > len(first.caption)


def test_an_effective_rate_goes_with_the_sharpness():
    packets, _, _ = chain([scene(noise_seed=number) for number in range(4)])
    receiver = ReceiverReferences()
    found = [decode_reference(unpack(data), receiver) for data in packets]
    assert found[0].bpp == 8 * len(unpack(packets[0]).latent) / (WIDTH * HEIGHT)
    most = 2 ** (hevc_inter.REFINEMENT / 6)     # six steps of the quantiser halve the bytes
    assert found[0].bpp < found[-1].bpp <= most * found[0].bpp


@pytest.mark.parametrize('size', [(16, 16), (32, 16), (40, 64), (64, 64), (200, 152)])
@pytest.mark.parametrize('qp', [0, 28, 51])
def test_any_coded_size_and_quantiser(size, qp):
    first, second = (shrink(scene(shift), *size) for shift in (0, 5))
    reference = decode_planes(encode_planes(first, 40), *size)
    latent = encode_inter(reference, second, qp)     # compares our headers with those of x265
    assert latent[0] & 63 == qp
    decoded = decode_inter(reference, latent)
    np.testing.assert_array_equal(decoded[0], decode_inter(reference, latent)[0])
    assert decoded[0].shape == second[0].shape
    assert psnr(decoded[0], second[0]) > (45 if qp == 0 else 17)


def lossless(reference, latent):
    """Decode as any decoder can: the reference coded without loss, then the slice."""
    (width, height), options = reference[0].shape[::-1], f'{hevc_streams._INTER}:lossless=1'
    units = hevc_headers._split(hevc_streams._x265([reference], options), 4)
    inter = [hevc_headers._nal(kind, fields.finish())
             for kind, fields in parameter_sets(width, height, 186, inter=True)]
    first = hevc_headers._join([*inter[:2], *units[2:]])
    second = hevc_headers._join([inter[2]]) + hevc_headers.rebuild_inter(latent, 1)
    return hevc_streams._decode(hevc_streams._decoder(), [first, second], width, height)


def test_the_planes_are_those_of_a_stream_with_a_lossless_reference():
    for size, shift in (((64, 48), 3), ((128, 96), 0), ((72, 200), 9)):
        reference = decode_planes(encode_planes(shrink(scene(), *size), 38), *size)
        latent = encode_inter(reference, shrink(scene(shift), *size), 30)
        first, second = lossless(reference, latent)
        assert hevc_streams.same(first, reference)
        assert hevc_streams.same(second, decode_inter(reference, latent))


def test_too_small_a_ceiling_is_named():
    _, sender, _ = chain([scene()])
    with pytest.raises(BudgetError, match='max_bytes=18'):
        ENCODER.encode(scene()[::-1], 18, sequence=1, references=sender)


def test_another_x265_is_refused(monkeypatch):
    planes = shrink(scene(), 64, 64)
    with monkeypatch.context() as patched:
        patched.setattr(hevc_streams, '_INTER',
                        hevc_streams._INTER.replace('temporal-mvp=0', 'temporal-mvp=1'))
        with pytest.raises(MissingDependencyError, match='sps_temporal_mvp_enabled_flag'):
            encode_inter(planes, planes, 40)
    latent = encode_inter(planes, planes, 40)
    monkeypatch.setattr(hevc_streams, '_overwrite', lambda frames, planes: None)
    with pytest.raises(MissingDependencyError, match='ffmpeg'):
        decode_inter(planes, latent)


def test_packets_that_contradict_themselves_are_refused():
    packets, _, receiver = chain([scene(), scene(9)])
    alone, packet = (unpack(data) for data in packets)
    for bad, field in ((replace(packet, latent=b'x'), 'latent length'),
                       (replace(packet, latent=packet.latent[:2] + b'\xff\x00'), 'quantiser'),
                       (replace(alone, reference=1, caption=b'', text_repeats=True), 'text')):
        with pytest.raises(PacketError, match=field):
            decode_reference(unpack(pack(bad)), receiver)
    with pytest.raises(ModelMismatchError):
        decode_reference(replace(alone, fingerprint=INTER_FINGERPRINT + 1), receiver)


def test_damaged_slices_in_sound_packets(capfd):
    packets, _, receiver = chain([scene(), scene(9)])
    packet, rng = unpack(packets[1]), np.random.default_rng(0)
    pictures = 0
    for _ in range(20):
        latent = bytearray(packet.latent)
        for place in rng.integers(2, len(latent), 2):
            latent[place] ^= rng.integers(1, 256)
        latent = latent[:rng.integers(2, len(latent) + 1)]
        try:
            planes = decode_reference(replace(packet, latent=bytes(latent)), receiver).planes
        except PacketError:
            continue
        pictures += 1
        assert planes[0].shape == decode_reference(packet, receiver).planes[0].shape
    assert pictures
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('version', [1, 2])
def test_golden_streams_decode_for_ever(version):
    cases = json.loads((GOLDEN / f'v{version}_inter.json').read_text())
    receiver = ReceiverReferences()
    for name, case in cases.items():
        data = (GOLDEN / f'{name}.gsc').read_bytes()
        packet = unpack(data)
        assert pack(packet) == data
        found = decode_reference(packet, receiver)
        said = {**vars(packet), **({'quality': found.quality} if packet.version == 2 else {})}
        for field in case.keys() & said.keys():
            if field not in ('caption', 'objects'):
                assert said[field] == case[field]
        assert len(packet.latent) == case['latent_bytes']
        digest = hashlib.sha256(b''.join(plane.tobytes() for plane in found.planes))
        assert digest.hexdigest() == case['planes']
        assert len(found.object_bytes) == 5 * case['objects']
    assert {file.stem for file in GOLDEN.glob(f'v{version}_inter_*.gsc')} == set(cases)
