"""The report says what the rows say: known distances, honest gaps, one complete page."""
from __future__ import annotations

from collections.abc import Iterator
import csv
from html.parser import HTMLParser
import json
from pathlib import Path
import re
from typing import Any

from evaluation_rows import BPP, clip_rows, FACTORS, still_rows, write_rows
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.report import compare as report_compare
from gsc_ros.evaluation.report import tables as report_tables
from gsc_ros.evaluation.report.cases import Album, choose_cases
from gsc_ros.evaluation.report.rows import read_rows, sources, tracks
from gsc_ros.evaluation.report.sheet import write_worst
from gsc_ros.evaluation.report.text import markdown
from gsc_ros.evaluation.report.write import write_report
from PIL import Image
import pytest

Table = dict[str, Any]


def summarise(rows: list[Table]) -> Table:
    return report_tables.summarise(tracks(rows))


@pytest.fixture(scope='module', autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_compare, '_SAMPLES', 40)
        yield


@pytest.fixture(scope='module')
def summary() -> Table:
    return summarise(still_rows() + clip_rows())


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    write_report(write_rows(still_rows() + clip_rows(), folder), folder)
    return folder


def test_tracks_sets_and_codecs(summary: Table) -> None:
    assert list(summary) == ['bpp', 'kbps']
    assert list(summary['bpp']) == ['all', 'street', 'yard']
    assert list(summary['kbps']) == ['all']
    assert list(summary['bpp']['all']['rates']) == [f'{rate:g}' for rate in BPP]
    assert list(summary['bpp']['all']['rates']['0.01']) == ['gsc', 'gsc-plain', 'avif', 'webp']
    assert summary['bpp']['all']['ours'] == 'gsc' and summary['bpp']['all']['lead'] == 'vgg'


def test_bjontegaard_deltas_are_the_factors(summary: Table) -> None:
    for codec, factor in FACTORS.items():
        if codec != 'gsc':
            for key in ('vgg', 'psnr', 'ms_ssim'):
                delta = summary['bpp']['all']['bd'][key][codec]['rate']
                assert delta['value'] == pytest.approx(factor - 1)
                assert delta['low'] == pytest.approx(factor - 1)   # alike in every picture
    assert summary['kbps']['all']['bd']['psnr']['h265']['rate']['value'] == pytest.approx(0.5)


def test_bytes_at_equal_distance(summary: Table) -> None:
    equal = summary['bpp']['all']['equal']
    assert equal['bytes']['0.01']['webp']['value'] == pytest.approx(2)
    assert equal['bytes']['0.01']['best']['value'] == pytest.approx(1.6)
    # webp at its highest rate is as good as we are at half of that: 0.04 is out of its reach
    assert equal['bytes']['0.04']['webp']['side'] == 1
    assert equal['bytes']['0.04']['webp']['value'] == pytest.approx(1)
    assert equal['payload_bytes']['0.01']['webp']['value'] == pytest.approx(2)


def test_differences_and_pooled_figures(summary: Table) -> None:
    webp = summary['bpp']['all']['rates']['0.01']['webp']
    assert webp['minus_ours']['vgg']['value'] == pytest.approx(0.5)
    assert webp['ours_better'] == 1
    assert webp['figures']['f1']['value'] == pytest.approx(4 / 8)
    assert webp['figures']['invented']['value'] == pytest.approx(1 / 3)
    assert webp['figures']['lost']['value'] == pytest.approx(3 / 5)
    assert 'flicker' not in webp['figures']


def test_curves_apart_or_falling_are_said_to_be() -> None:
    rows = still_rows()
    for row in rows:
        if row['codec'] == 'webp':
            row['metrics']['vgg'] += 100
        if row['codec'] == 'avif':
            row['metrics']['vgg'] = 5.0
    table = summarise(rows)['bpp']['all']
    assert 'share no range' in table['bd']['vgg']['webp']['why']
    assert 'does not grow' in table['bd']['vgg']['avif']['why']
    assert table['equal']['bytes']['0.01']['webp']['side'] == 1
    assert 'does not grow' in table['equal']['bytes']['0.01']['avif']['why']
    assert '> 4.00x' in markdown({'bpp': {'all': table}})


def test_one_clip_of_ten_seconds_has_no_interval() -> None:
    found = summarise(clip_rows(seconds=10))['kbps']['all']['rates']['8']['gsc']
    assert found['figures']['vgg']['low'] is None
    assert found['pictures'] == 10 and found['fps'] == 1.5


def test_a_track_without_ours_or_with_only_ours() -> None:
    peers = [row for row in still_rows() if not row['codec'].startswith('gsc')]
    assert summarise(peers)['bpp']['all']['ours'] is None
    ours = [row for row in still_rows() if row['variant'] != 'peer']
    assert summarise(ours)['bpp']['all']['equal'] == {}
    for rows in (peers, ours):
        assert markdown(summarise(rows)).startswith('# Evaluation')


@pytest.mark.slow
def test_files_agree(folder: Path) -> None:
    summary = json.loads((folder / 'summary.json').read_text())
    with (folder / 'summary.csv').open() as stream:
        lines = list(csv.DictReader(stream))
    bd = next(line for line in lines if (line['track'], line['set'], line['codec'], line['figure'])
              == ('bpp', 'all', 'webp', 'bd_rate_vgg'))
    assert float(bd['value']) == summary['bpp']['all']['bd']['vgg']['webp']['rate']['value']
    text = (folder / 'summary.md').read_text()
    assert '**gsc, default**' in text and '2.00x' in text and '+100%' in text
    for line in text.splitlines():
        if line.startswith('|'):
            assert line.endswith(' |')
    for kind in ('bpp', 'kbps'):
        assert '</svg>' in (folder / f'curves_{kind}.svg').read_text()


def test_the_worst_on_a_sheet(tmp_path: Path) -> None:
    rows = still_rows()
    rows_folder = write_rows(rows, tmp_path)
    track, = tracks(rows)
    sheets = {count: tmp_path / f'{count}.jpg' for count in (0, 2)}
    for count, sheet in sheets.items():
        kept = dict(list(sources(rows).items())[:count])
        write_worst(track, 'gsc', 'vgg', kept, rows_folder.parent, sheet)
    assert not sheets[0].exists()       # no picture was kept
    width, height = Image.open(sheets[2]).size
    assert width > height               # four columns, two rows
    write_worst(track, None, None, sources(rows), tmp_path, tmp_path / 'no.jpg')
    assert not (tmp_path / 'no.jpg').exists()


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._script = tag == 'script'
        self.links += [value or '' for key, value in attributes if key in ('src', 'href')]
        self.ids += [value or '' for key, value in attributes if key == 'id']

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts.append(data)


def test_the_page_is_complete_and_needs_nothing_else(folder: Path) -> None:
    text = (folder / 'report.html').read_text()
    page = Page()
    page.feed(text)
    script = ''.join(page.scripts)     # a caption with </script> in it has not ended it
    assert script.rstrip().endswith('seam(50);')
    assert page.links == []
    assert 'http://' not in text and 'https://' not in text
    assert set(re.findall(r"\$\('([a-z-]+)'\)", script)) <= set(page.ids)
    data = json.loads(re.search(r'const DATA = (.*);\n', script)[1])
    assert data['summary'] == json.loads((folder / 'summary.json').read_text())
    assert all(url.startswith('data:image/svg+xml;base64,') for url in data['curves'].values())
    assert len(data['cases']['bpp']) == 12 and len(data['cases']['kbps']) == 60
    for case in data['cases']['bpp']:
        for codecs in case['rows'].values():
            assert set(codecs) == set(FACTORS)
        assert case['source'] is None or data['images'][case['source']].startswith('data:image/')
    shown = [case for case in data['cases']['bpp'] if case['source'] is not None]
    assert len(shown) == 12
    assert sum(c['rows']['0.01']['gsc']['s'] is not None for c in shown) == 3


def test_worst_first_and_never_too_large(tmp_path: Path) -> None:
    rows = still_rows()
    write_rows(rows, tmp_path)
    track, = tracks(rows)
    cases = choose_cases(track, 'gsc', 'vgg', sources(rows), Album(tmp_path))
    distances = [case['rows']['0.01']['gsc']['m']['vgg'] for case in cases]
    assert distances == sorted(distances, reverse=True)
    few = choose_cases(track, 'gsc', 'vgg', sources(rows), Album(tmp_path, max_bytes=1))
    assert [case['source'] is not None for case in few] == [True] + [False] * 11


def test_bad_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match='gsc evaluate'):
        read_rows(tmp_path)
    path = tmp_path / 'gsc.jsonl'
    path.write_text(json.dumps(still_rows()[1]) + '\n{"input": "a"}\n')
    with pytest.raises(InvalidInputError, match=r'gsc\.jsonl line 2.*codec'):
        read_rows(tmp_path)
    path.write_text(json.dumps(still_rows()[1]) + '\n{"input": "a')
    assert len(read_rows(tmp_path)) == 1     # cut by a kill


NASTY = '</script><!--<script>alert(1)</script>|=`*[x](y)\u2028&'


def test_names_break_no_page(tmp_path: Path) -> None:
    from gsc_ros.evaluation.report.text import _cell, escaped
    from gsc_ros.evaluation.report.write import _for_script
    shown = _for_script(json.dumps({'a': NASTY}))
    assert not set('<>&') & set(shown) and json.loads(shown) == {'a': NASTY}
    cell = escaped(NASTY + '\n|')
    assert '\n' not in cell and '|' not in cell.replace('\\|', '') and '<' not in cell.replace(
        '\\<', '')
    assert _cell('=1+1') == "'=1+1" and _cell('street') == 'street'
