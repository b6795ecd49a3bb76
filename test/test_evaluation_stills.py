"""The rate table: pictures found, rows written once, a stopped run goes on, the report holds."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path

from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.commands.evaluate import parse_rates
from gsc_ros.evaluation import report, stills
from gsc_ros.evaluation.candidates import GscProducer, PeerProducer
from gsc_ros.evaluation.metrics import psnr
from gsc_ros.evaluation.peers import PEERS
import numpy as np
from PIL import Image
import pytest

RATES = (0.05, 0.2)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return 100 - psnr(a, b)


@dataclass
class FakePacket:
    latent: bytes
    quality: int = 3


@dataclass
class FakeDecoded:
    packet: FakePacket
    plain: np.ndarray
    regenerated: np.ndarray | None

    @property
    def picture(self) -> np.ndarray:
        return self.plain if self.regenerated is None else self.regenerated


@dataclass
class FakeCoder:
    """Encoder and decoder in one: the packet is a JPEG, regeneration inverts the picture."""

    generate_by_default: bool = False
    smallest: int = 0
    encoded: list[int] = field(default_factory=list)

    def encode(self, picture: np.ndarray, max_bytes: int, caption: str = '',
               objects: Sequence[SceneObject] = ()) -> bytes:
        if max_bytes < self.smallest:
            raise BudgetError(max_bytes, self.smallest)
        self.encoded.append(max_bytes)
        self.shape = picture.shape
        return bytes(max_bytes)

    def decode(self, data: bytes, generate: bool | None = None) -> FakeDecoded:
        plain = np.full(self.shape, 100, np.uint8)
        wanted = self.generate_by_default if generate is None else generate
        return FakeDecoded(FakePacket(data[16:]), plain, plain + 20 if wanted else None)


class FakeDetector:
    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        return [SceneObject(0, 0.9, (0.1, 0.1, 0.5, 0.5))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ('street/a', 'street/b', 'street/c', 'yard/d'):
        path = tmp_path / 'pictures' / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 255, (12, 13, 3), np.uint8)
        Image.fromarray(coarse).resize((208, 192), Image.Resampling.BICUBIC).save(path)
    return tmp_path / 'pictures'


def gsc(coder: FakeCoder, **options: object) -> GscProducer:
    wanted = ['gsc', 'gsc-plain', 'gsc-generated']
    return GscProducer(coder, coder, 'auto', None, wanted, **options)  # type: ignore[arg-type]


def test_stills_are_found_per_set(folder: Path) -> None:
    found = stills.find_stills([folder])
    assert [(s.dataset, s.name) for s in found] == [
        ('street', 'a'), ('street', 'b'), ('street', 'c'), ('yard', 'd')]
    spread = stills.find_stills([folder], limit=2)
    assert [s.name for s in spread] == ['a', 'c', 'd']
    assert [s.name for s in stills.find_stills([folder], sets=['yard'])] == ['d']
    assert [s.name for s in stills.find_stills([folder / 'yard' / 'd.png'])] == ['d']


def test_wrong_inputs_name_the_cause(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match='nowhere'):
        stills.find_stills([tmp_path / 'nowhere'])
    with pytest.raises(InvalidInputError, match='beach'):
        stills.find_stills([folder], sets=['beach'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InvalidInputError):
        stills.find_stills([tmp_path / 'empty'])


def test_rates_are_checked() -> None:
    assert parse_rates('0.01, 0.02') == [0.01, 0.02]
    for text in ('', 'x', '0', '9'):
        with pytest.raises(InvalidInputError):
            parse_rates(text)


def test_every_row_is_there_and_within_its_ceiling(folder: Path, tmp_path: Path) -> None:
    found = stills.find_stills([folder])
    rows = stills.measure(found, [gsc(FakeCoder()), PeerProducer(PEERS['jpeg'], distance)], RATES,
                          stills.Judge(distance, FakeDetector()), tmp_path / 'report')
    assert len(rows) == 4 * 2 * 4
    for row in rows:
        assert row.max_bytes == int(row.target * 208 * 192 / 8)
        assert row.exceeded == max(0, row.bytes - row.max_bytes)
        assert row.bpp == pytest.approx(8 * row.bytes / (208 * 192))
        assert (row.matched, row.found, row.wanted) == (1, 1, 1)
    generated = {r.codec for r in rows if r.generated}
    assert generated == {'gsc-generated'}


def test_default_output_is_the_regenerated_one_where_shipped(folder: Path, tmp_path: Path
                                                            ) -> None:
    producer = gsc(FakeCoder(generate_by_default=True))
    found = stills.find_stills([folder], sets=['yard'])
    rows = stills.measure(found, [producer], RATES[:1], stills.Judge(distance), tmp_path)
    figures = {r.codec: (r.generated, r.psnr) for r in rows}
    assert figures['gsc'] == figures['gsc-generated'] != figures['gsc-plain']
    assert np.isnan(rows[0].wanted)


def test_too_small_a_ceiling_is_marked(folder: Path, tmp_path: Path) -> None:
    found = stills.find_stills([folder], sets=['yard'])
    rows = stills.measure(found, [gsc(FakeCoder(smallest=400))], RATES,
                          stills.Judge(distance), tmp_path)
    small, large = (next(r for r in rows if r.target == t) for t in RATES)
    assert (small.bytes, small.exceeded) == (400, 400 - small.max_bytes)
    assert large.exceeded == 0


def test_a_rerun_measures_only_what_is_missing(folder: Path, tmp_path: Path) -> None:
    found = stills.find_stills([folder])
    coder = FakeCoder()
    judge = stills.Judge(distance)
    first = stills.measure(found[:2], [gsc(coder)], RATES, judge, tmp_path)
    assert len(coder.encoded) == 4
    rows = stills.measure(found, [gsc(coder)], RATES, judge, tmp_path)
    assert len(coder.encoded) == 8
    assert [str(r) for r in rows[:len(first)]] == [str(r) for r in first]
    stills.measure(found, [gsc(coder)], (*RATES, 0.4), judge, tmp_path)
    assert len(coder.encoded) == 12


def test_a_line_cut_by_a_kill_is_measured_again(folder: Path, tmp_path: Path) -> None:
    found = stills.find_stills([folder])
    judge = stills.Judge(distance)
    rows = stills.measure(found, [gsc(FakeCoder())], RATES, judge, tmp_path)
    path = tmp_path / 'rows' / 'gsc-auto-notext.csv'
    path.write_text(path.read_text()[:-30])
    again = stills.measure(found, [gsc(FakeCoder())], RATES, judge, tmp_path)
    keys = [(r.picture, r.target, r.codec) for r in again]
    assert len(keys) == len(set(keys)) == len(rows)
    assert len(stills.read_rows(path)) == len(rows)


def test_foreign_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'rows.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InvalidInputError):
        stills.read_rows(tmp_path / 'rows.csv')


def test_report(folder: Path, tmp_path: Path) -> None:
    found = stills.find_stills([folder])
    producers = [gsc(FakeCoder()), PeerProducer(PEERS['webp'], distance)]
    rows = stills.measure(found, producers, RATES, stills.Judge(distance, FakeDetector()),
                          tmp_path)
    summary = report.write_report(rows, tmp_path)
    assert set(summary) == {'all', 'street', 'yard'}
    webp = summary['all']['0.2']['webp']
    ours = {r.picture: r.vgg for r in rows if r.codec == 'gsc' and r.target == 0.2}
    theirs = {r.picture: r.vgg for r in rows if r.codec == 'webp' and r.target == 0.2}
    gaps = [theirs[name] - ours[name] for name in ours]
    assert webp['vgg_minus_gsc']['value'] == pytest.approx(np.mean(gaps))
    assert webp['gsc_wins'] == np.mean([gap > 0 for gap in gaps])
    assert webp['detection']['f1']['value'] == 1
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    text = (tmp_path / 'summary.md').read_text()
    assert '## all, 0.05 bpp' in text
    assert '| webp |' in text
    sheet = Image.open(tmp_path / 'sheet_0.2.png')
    assert sheet.width == 320 * 5
    assert sheet.height > 4 * 250
    assert Image.open(tmp_path / 'rates.png').width > 1000
