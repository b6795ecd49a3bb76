"""Streams at a rate: the live path's choice of pictures, and rows of what is on the screen."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bag_maker import picture, SECOND_NS
from gsc_ros.codec.bitstream import CoderId, pack, Packet, unpack
from gsc_ros.codec.caption import decode_caption, encode_caption
from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.decoder import DecodedPicture
from gsc_ros.evaluation import instruments
from gsc_ros.evaluation.codec_names import check_codecs, parse_codec
from gsc_ros.evaluation.inputs import Shot
from gsc_ros.evaluation.judges.judge import JudgeSettings
from gsc_ros.evaluation.live import LiveSettings, rehearse_clip
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.evaluation.work import Item, WorkSettings
from gsc_ros.evaluation.worker import EvaluationWorker
from gsc_ros.scene.watcher import Scene
import numpy as np
import pytest

LIVE = LiveSettings(max_rate=5.0, min_bytes=150, max_bytes=1500, overhead_bytes=28, rtt_s=0.5)
FPS, COUNT = 10, 40
TIMES = [i * SECOND_NS // FPS for i in range(COUNT)]


@dataclass
class FakeCoder:
    """
    Encoder and decoder: a packet carries the mean level of its picture, and fills its ceiling.

    Regeneration adds 20 grey levels.
    """

    share: float = 1.0
    smallest: int = 0
    sequences: list[int] = field(default_factory=list)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    lasts: dict[Any, list[Any]] = field(default_factory=dict)

    def encode(self, picture: np.ndarray, max_bytes: int, **words: Any) -> bytes:
        return pack(self.encode_packet(picture, max_bytes, **words))

    def encode_packet(self, picture: np.ndarray, max_bytes: int, *, caption: str = '',
                      objects: Sequence[SceneObject] = (), sequence: int = 0, seed: int = 0,
                      references: Any = None, focus: Any = None) -> Packet:
        if max_bytes < self.smallest:
            raise BudgetError(max_bytes, self.smallest)
        if references is not None:
            self._watch(references, sequence)
        words = encode_caption(caption)
        size = int(max_bytes * self.share) - 16 - len(words)
        latent = bytes([round(float(picture.mean()))]) * size
        return Packet(CoderId.HEVC, picture.shape[1], picture.shape[0], 1, 2, 3, sequence,
                      None, words, b'', latent)

    def _watch(self, references: Any, sequence: int) -> None:
        self.sequences.append(sequence)
        if len(self.sequences) > 1:
            return
        known = references.acknowledge

        def acknowledge(*numbers: int) -> None:
            self.acknowledged += [(len(self.sequences), number) for number in numbers]
            known(*numbers)
        references.acknowledge = acknowledge

    def decode(self, data: bytes | Packet, *, steps: int | None = None,
               generate: bool | None = None, last: Any = None, **words: Any) -> DecodedPicture:
        self.lasts.setdefault((generate, steps), []).append(last)
        packet = unpack(data) if isinstance(data, bytes) else data
        plain = np.full((packet.height, packet.width, 3), packet.latent[0], np.uint8)
        made = None if generate is False else plain + (steps or 20)
        return DecodedPicture(packet, plain, made, decode_caption(packet.caption), [], 0.0)


def ours(coder: FakeCoder, caption: str = 'a street') -> OurCodecs:
    ticks = iter(range(10 ** 9))
    return OurCodecs({'auto': coder}, coder, lambda _: (caption, []),  # type: ignore[arg-type,dict-item]
                     clock=lambda: next(ticks))


def frames(count: int = COUNT) -> list[np.ndarray]:
    return [np.full((32, 48, 3), 5 * i, np.uint8) for i in range(count)]


def codecs(*names: str) -> list[Any]:
    return [parse_codec(name) for name in names]


@pytest.mark.parametrize('kbps', [2, 8, 32])
def test_the_link_s_ceiling_is_kept_and_used(kbps: float) -> None:
    sent = rehearse_clip(ours(FakeCoder()), codecs('gsc'), frames(), TIMES, kbps, LIVE).sent
    wire = [(s.sent_ns, len(s.outgoing.data) + 28) for s in sent]
    for time_ns, _ in wire:
        window = sum(size for t, size in wire if time_ns <= t < time_ns + SECOND_NS)
        assert window <= kbps * 125
    spent = sum(size for _, size in wire)
    assert spent <= kbps * 125 * (COUNT / FPS + 1)
    if kbps < 32:   # there two pictures of 1500 bytes a second are all that is wanted
        assert spent > 0.7 * kbps * 125 * COUNT / FPS
    assert all(s.sent_ns >= TIMES[s.outgoing.tag] for s in sent)
    places = [s.outgoing.tag for s in sent]
    assert places == sorted(set(places))


def test_acknowledgements_arrive_after_a_round_trip() -> None:
    coder = FakeCoder()
    sent = rehearse_clip(ours(coder), codecs('gsc'), frames(), TIMES, 8, LIVE).sent
    assert coder.sequences == list(range(len(sent)))
    assert coder.acknowledged
    for encoded, number in coder.acknowledged:   # before picture `encoded` was made
        assert sent[number].sent_ns + SECOND_NS // 2 <= sent[encoded].sent_ns


def test_what_does_not_fit_is_not_sent() -> None:
    run = rehearse_clip(ours(FakeCoder(smallest=10 ** 4)), codecs('gsc'), frames(), TIMES, 8, LIVE)
    assert run.sent == run.screens['gsc'] == []


def item(tasks: Sequence[tuple[str, float | None]]) -> Item:
    shots = tuple(Shot(i, TIMES[i], TIMES[i], 'pixels', picture, 'clip')
                  for i, picture in enumerate(frames()))
    return Item('clip', 'set', '', shots, tuple(tasks), (3, 14, 29, 35), float(FPS))


def worker(monkeypatch: pytest.MonkeyPatch, *names: str) -> EvaluationWorker:
    monkeypatch.setattr(instruments, 'load_ours', lambda *_: ours(FakeCoder()))
    return EvaluationWorker(WorkSettings(names, JudgeSettings(('psnr',)), LIVE))


def test_each_way_of_regenerating_has_its_last_picture() -> None:
    coder = FakeCoder()
    names = codecs('gsc', 'gsc-plain', 'gsc-steps4')
    assert rehearse_clip(ours(coder), names, frames(), TIMES, 8, LIVE).sent
    default, plain, four = (coder.lasts[key] for key in ((None, None), (False, None), (True, 4)))
    assert set(plain) == {None} and len(set(map(id, default))) == len(set(map(id, four))) == 1
    assert default[0] is not None and four[0] is not None and default[0] is not four[0]


def test_rows_show_what_is_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ('gsc', 'gsc-plain', 'gsc-notext-plain', 'gsc-steps4')
    result = worker(monkeypatch, *names).measure(
        item([('source', None), *((name, 8.0) for name in names)]))
    assert result.problem == ''
    rows = {(r['codec'], r['index']): r for r in result.rows}
    assert len(rows) == len(result.rows) == 5 * 4
    run = rehearse_clip(ours(FakeCoder()), codecs('gsc'), frames(), TIMES, 8, LIVE)
    sent, screen = run.sent, run.screens['gsc']
    for (codec, index), row in rows.items():
        if codec == 'source':
            continue
        newest = max((s.sent.outgoing.tag for s in screen if s.shown_ns <= TIMES[index]),
                     default=screen[0].sent.outgoing.tag)
        assert row['age_s'] == pytest.approx((index - newest) / FPS)
        # the screen shows the mean level of the newest picture, 5 levels a picture
        error = 5.0 * (index - newest) - {'gsc': 20, 'gsc-steps4': 4}.get(codec, 0)
        expected = 100 if error == 0 else 10 * np.log10(255 ** 2 / error ** 2)
        assert row['metrics']['psnr'] == pytest.approx(expected)
        assert row['variant'] == ('plain' if codec.endswith('plain') else 'regenerated')
        # what is seen in a picture is said with the next
        told = 'notext' not in codec and newest != sent[0].outgoing.tag
        assert row['detail']['caption'] == ('a street' if told else '')
        assert row['target_kbps'] == 8
        assert row['exceeded'] == 0
    for codec in names:
        mine = [row for (name, _), row in rows.items() if name == codec]
        assert sum(row['seconds'] for row in mine) == pytest.approx(COUNT / FPS)
        wire = sum(row['bytes'] for row in mine) + 28 * len(sent)
        assert wire * 8 / (COUNT / FPS) / 1000 < mine[0]['kbps'] <= 8   # headers of the link
        assert mine[0]['fps'] == pytest.approx(len(screen) / (COUNT / FPS))


def test_video_codecs_get_rows_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = tuple(Shot(i, TIMES[i], TIMES[i], 'pixels', picture(i, 64, 64), 'clip')
                   for i in range(10))
    clip = Item('clip', 'set', '', moving, (('h264', 16.0),), (2, 8), float(FPS))
    result = worker(monkeypatch, 'h264').measure(clip)
    assert result.problem == ''
    assert [row['index'] for row in result.rows] == [2, 8]
    for row in result.rows:
        assert row['variant'] == 'peer'
        assert row['metrics']['psnr'] > 9
        assert row['kbps'] <= 16 or row['exceeded']


def test_a_stream_of_two_sizes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = item([('gsc', 8.0)])
    odd = Shot(40, 0, TIMES[-1] + 1, 'pixels', np.zeros((32, 32, 3), np.uint8), 'clip')
    result = worker(monkeypatch, 'gsc').measure(
        Item('clip', 'set', '', (*mixed.shots, odd), mixed.tasks, (3,), float(FPS)))
    assert 'one size' in result.problem
    assert not result.fatal


def test_too_thin_a_link_is_a_problem_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, 'load_ours', lambda *_: ours(FakeCoder(smallest=4000)))
    result = EvaluationWorker(WorkSettings(('gsc',), JudgeSettings(('psnr',)), LIVE)).measure(
        item([('gsc', 2.0)]))
    assert '--kbps is 2' in result.problem


def test_one_packet_serves_all_ways_of_decoding() -> None:
    coder = FakeCoder()
    made = list(ours(coder).still(frames(1)[0], Scene('a street'), codecs(
        'gsc', 'gsc-plain', 'gsc-generated', 'gsc-steps4', 'gsc-notext'), 400))
    assert [(c.codec, c.variant) for c in made] == [
        ('gsc', 'regenerated'), ('gsc-plain', 'plain'), ('gsc-generated', 'regenerated'),
        ('gsc-steps4', 'regenerated'), ('gsc-notext', 'regenerated')]
    assert made[0].picture is made[2].picture   # judged once
    assert made[3].picture[0, 0, 0] == 4
    assert {c.size for c in made} == {400}
    assert [c.sent == Scene('a street') for c in made] == [True] * 4 + [False]


def test_names_of_codecs() -> None:
    codec = parse_codec('gsc-hevc-notext-nofocus-steps4')
    assert codec is not None
    assert not codec.describes
    assert (codec.coder, codec.text, codec.output, codec.steps) == ('hevc', False, 'generated', 4)
    assert parse_codec('gsc-steps') is None
    check_codecs(['gsc', 'gsc-learned-plain', 'jpeg', 'av1'])
    for names in ([], ['gsc-fast'], ['gif']):
        with pytest.raises(InvalidInputError, match='codecs'):
            check_codecs(names)
