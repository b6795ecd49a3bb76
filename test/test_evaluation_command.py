"""``gsc evaluate`` from inputs to report, and what it says about wrong ones."""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import time

from bag_maker import make_bag, picture, SECOND_NS, truncate
import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.commands import evaluate as command
import pytest

OURS = 'gsc-hevc-notext-nofocus-plain'


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(['evaluate', *map(str, words)]))


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / 'street'
    path.mkdir()
    for i in range(2):
        cv2.imwrite(str(path / f'{i}.png'), picture(i, 96, 128)[..., ::-1])
    return path


def test_from_pictures_and_a_bag_to_a_report(street: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    bag = make_bag(tmp_path / 'drive', count=8, period_ns=SECOND_NS // 4, size=(96, 128))
    words = (street, bag, '--codecs', f'{OURS},jpeg,h264', '--bpp', '0.2,0.4', '--kbps', '8',
             '--fps', '4', '--measures', 'psnr', '--no-detection', '--report', tmp_path / 'r')
    assert run(*words) == 0
    rows = {file.stem: [json.loads(line) for line in file.read_text().splitlines()]
            for file in (tmp_path / 'r' / 'rows').iterdir()}
    assert {name: len(found) for name, found in rows.items()} == {
        'source': 2 + 2, OURS: 2 * 2 + 2, 'jpeg': 2 * 2, 'h264': 2}
    for row in rows[OURS]:
        assert row['variant'] == 'plain'
        if not row.get('age_s'):   # what is shown is of this very picture
            assert row['metrics']['psnr'] > 15
        assert row['exceeded'] == 0
    for name in ('summary.md', 'summary.csv', 'summary.json', 'report.html'):
        assert (tmp_path / 'r' / name).stat().st_size > 100
    assert 'hevc' in capsys.readouterr().out
    monkeypatch.setattr('gsc_ros.evaluation.report.write.write_report', lambda *_: None)
    assert run(*words) == 0
    assert '0 items measured' in capsys.readouterr().out
    assert run(*words, '--again') == 0
    assert '3 items measured' in capsys.readouterr().out   # two pictures and a segment, ours only
    again = (tmp_path / 'r' / 'rows' / 'jpeg.jsonl').read_text().splitlines()
    assert [json.loads(line) for line in again] == rows['jpeg']


def test_a_damaged_bag_is_measured_as_far_as_it_goes(tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    bag = make_bag(tmp_path / 'drive', count=200, period_ns=SECOND_NS // 40)
    truncate(bag, 0.7)
    assert run(bag, '--codecs', 'jpeg', '--bpp', '1', '--measures', 'psnr', '--report',
               tmp_path / 'r') == 1
    assert (tmp_path / 'r' / 'rows' / 'jpeg.jsonl').read_text().count('\n') >= 2
    error = capsys.readouterr().err
    assert 'gsc: error: bag' in error
    assert 'damaged after' in error
    assert 'recover' in error


def test_only_kbps_plays_folders_as_streams(street: Path, tmp_path: Path) -> None:
    assert run(street, '--kbps', '16', '--codecs', OURS, '--measures', 'psnr',
               '--report', tmp_path / 'r') == 0
    (row,) = map(json.loads, (tmp_path / 'r' / 'rows' / f'{OURS}.jsonl').read_text().splitlines())
    assert (row['input'], row['target_kbps'], row['target_bpp']) == ('street', 16, None)


@pytest.mark.parametrize(('words', 'cause'), [
    (['--bpp', 'x'], '--bpp is x'), (['--bpp', '9'], r'0\.001\.\.8'),
    (['--kbps', '0'], '--kbps is 0'), (['--kbps', ','], 'at least one number'),
    (['--codecs', 'gif'], '--codecs is gif'), (['--limit', '0'], '--limit is 0'),
    (['--fps', '0'], '--fps is 0'), (['--measures', 'beauty'], 'beauty'),
    (['--labels', 'nowhere'], '--labels is nowhere'), (['--sets', 'beach'], 'beach'),
    (['--jobs', '0', '--measures', 'psnr'], 'jobs is 0')])
def test_wrong_options_name_what_is_allowed(street: Path, tmp_path: Path, words: list[str],
                                            cause: str) -> None:
    with pytest.raises(InvalidInputError, match=cause):
        run(street, '--report', tmp_path / 'r', *words)


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / 'bad.png').write_bytes(b'no picture')
    with pytest.raises(InvalidInputError, match=r'bad\.png'):
        run(tmp_path / 'bad.png', '--codecs', 'jpeg', '--measures', 'psnr', '--report',
            tmp_path / 'r')


@pytest.mark.slow
def test_an_unreadable_file_in_a_folder_costs_only_itself(
        street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (street / 'notes.ts').write_text('const a = 1;')
    (street / 'bag.mcap').write_bytes(b'no bag')
    (street / 'loop').symlink_to(street)
    assert run(street, '--bpp', '0.5', '--codecs', 'jpeg', '--measures', 'psnr', '--report',
               street / 'r') == 1
    out, error = capsys.readouterr()
    assert '2 items measured' in out
    lines = [line for line in error.splitlines() if line.startswith('gsc: error:')]
    assert len(lines) == 2 and 'bag.mcap' in lines[0] and 'notes.ts' in lines[1]
    # the report's own pictures are no inputs of the next run
    run(street, '--bpp', '0.5', '--codecs', 'jpeg', '--measures', 'psnr', '--report', street / 'r')
    assert '0 items measured' in capsys.readouterr().out


def test_a_report_does_not_go_into_its_input(street: Path) -> None:
    with pytest.raises(InvalidInputError, match='--report'):
        run(street, '--report', street)


def test_a_terminated_run_leaves_no_process(street: Path, tmp_path: Path) -> None:
    for i in range(2, 60):
        cv2.imwrite(str(street / f'{i}.png'), picture(i, 480, 640)[..., ::-1])
    main = subprocess.Popen(
        [sys.executable, '-m', 'gsc_ros.cli', 'evaluate', street, '--codecs', OURS, '--bpp',
         '0.02', '--measures', 'psnr', '--jobs', '2', '--report', tmp_path / 'r'],
        start_new_session=True, stderr=subprocess.DEVNULL)
    rows = tmp_path / 'r' / 'rows' / f'{OURS}.jsonl'
    while not (rows.is_file() and rows.stat().st_size):     # until both are at work
        assert main.poll() is None
        time.sleep(0.1)
    main.terminate()
    assert main.wait(60) == 130
    for _ in range(100):    # multiprocessing's tracker follows when it sees that all are gone
        if not _alive(main.pid):
            break
        time.sleep(0.1)
    assert not _alive(main.pid)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
