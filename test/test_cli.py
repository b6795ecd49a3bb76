"""Commands, exit codes and messages that a script can rely on."""
import json
import os
from pathlib import Path
import subprocess
import sys

from gsc_ros.cli import main
import numpy as np
from PIL import Image
import pytest

pytest.importorskip('torch')


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for name in ('a', 'b'):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        path = tmp_path / f'{name}.png'
        Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def encode(pictures: list[Path], out: Path, *options: str) -> int:
    return main(['encode', *map(str, pictures), '-o', str(out), '--max-bytes', '400',
                 '--no-text', '--coder', 'hevc', *options])


def test_one_picture_there_and_back(pictures: list[Path], tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    packet, out = tmp_path / 'x.gsc', tmp_path / 'x.png'
    assert encode(pictures[:1], packet) == 0
    assert packet.stat().st_size <= 400
    assert main(['decode', str(packet), '-o', str(out)]) == 0
    assert Image.open(out).size == (96, 72)
    assert 'bytes' in capsys.readouterr().out


def test_several_inputs_keep_their_stems(pictures: list[Path], tmp_path: Path) -> None:
    assert encode(pictures, tmp_path / 'packets') == 0
    packets = sorted((tmp_path / 'packets').iterdir())
    assert [p.name for p in packets] == ['a.gsc', 'b.gsc']
    assert main(['decode', *map(str, packets), '-o', str(tmp_path / 'out'), '--plain']) == 0
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['a.png', 'b.png']


def test_info_tells_every_byte(pictures: list[Path], tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    packet = tmp_path / 'x.gsc'
    encode(pictures[:1], packet)
    capsys.readouterr()
    assert main(['info', str(packet), '--json']) == 0
    fields = json.loads(capsys.readouterr().out)
    sizes = fields['bytes']
    assert sizes['total'] == packet.stat().st_size == sum(sizes.values()) - sizes['total']
    assert (fields['coder'], fields['width'], fields['height']) == ('hevc', 96, 72)
    assert main(['info', str(packet)]) == 0
    assert 'coder        hevc' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'words'), [
    (['info', 'missing.gsc'], 'missing.gsc'),
    (['decode', 'missing.gsc', '-o', 'x.png'], 'missing.gsc'),
    (['encode', 'missing.png', '-o', 'x.gsc', '--max-bytes', '300', '--no-text'], 'missing.png'),
])
def test_failures_are_one_line_and_exit_1(arguments: list[str], words: str,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith('gsc: error:') and words in error and '\n' not in error


def test_a_damaged_packet_is_named(pictures: list[Path], tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    packet = tmp_path / 'x.gsc'
    encode(pictures[:1], packet)
    packet.write_bytes(packet.read_bytes()[:-1])
    assert main(['info', str(packet)]) == 1
    assert 'bad packet: crc' in capsys.readouterr().err


def test_a_budget_that_nothing_fits_exits_1(pictures: list[Path], tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(pictures[:1], tmp_path / 'x.gsc', '--max-bytes', '18') == 1
    assert 'too small' in capsys.readouterr().err and not (tmp_path / 'x.gsc').exists()


def test_wrong_usage_exits_2() -> None:
    done = subprocess.run([sys.executable, '-m', 'gsc_ros.cli', 'encode'], capture_output=True,
                          text=True)
    assert done.returncode == 2 and 'usage' in done.stderr


def test_same_stems_are_refused(pictures: list[Path], tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'other').mkdir()
    twin = tmp_path / 'other' / 'a.png'
    twin.write_bytes(pictures[0].read_bytes())
    assert encode([pictures[0], twin], tmp_path / 'out') == 1
    assert 'same stem' in capsys.readouterr().err


@pytest.mark.parametrize('way', ['same', 'link'])
def test_an_input_is_never_overwritten(pictures: list[Path], tmp_path: Path, way: str,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    before = pictures[0].read_bytes()
    target = pictures[0] if way == 'same' else tmp_path / 'link.png'
    if way == 'link':
        target.symlink_to(pictures[0])
    assert encode(pictures[:1], target) == 1
    assert 'another file than the input' in capsys.readouterr().err
    assert pictures[0].read_bytes() == before


def test_a_bad_input_costs_only_itself_and_is_named(pictures: list[Path], tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / 'bad.png'
    bad.write_bytes(b'no picture')
    assert encode([pictures[0], bad, pictures[1]], tmp_path / 'packets') == 1
    assert sorted(p.name for p in (tmp_path / 'packets').iterdir()) == ['a.gsc', 'b.gsc']
    error = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in error if line.startswith('gsc: error:')]) == 1
    assert any('bad.png' in line for line in error)
    assert encode(pictures, tmp_path / 'none', '--max-bytes', '18') == 1
    error = capsys.readouterr().err
    assert 'a.png' in error and 'b.png' in error and not (tmp_path / 'none').exists()
    bad.write_bytes(b'no packet')
    good = tmp_path / 'packets' / 'a.gsc'
    assert main(['decode', str(bad), str(good), '-o', str(tmp_path / 'out')]) == 1
    assert 'bad.png' in capsys.readouterr().err
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['a.png']


@pytest.mark.parametrize(('command', 'words', 'cause'), [
    ('encode', ['--seed', '300'], '--seed is 300'), ('encode', ['--seed', '-1'], '--seed is -1'),
    ('encode', ['--max-width', '8'], '--max-width is 8'),
    ('encode', ['--focus', 'nan'], '--focus is nan'),
    ('encode', ['--max-bytes', '0'], '--max-bytes is 0'),
    ('encode', ['--caption', 'x'], '--caption'),
    ('decode', ['--seed', '256'], '--seed is 256'), ('decode', ['--steps', '0'], '--steps is 0'),
    ('decode', ['--crispness', 'nan'], '--crispness is nan'),
    ('decode', ['--plain', '--seed', '3'], '--plain is given with --seed'),
    ('decode', ['--plain', '--prior', 'x'], '--plain is given with --prior'),
    ('decode', ['--prior', 'nowhere'], 'nowhere')])
def test_options_out_of_range_are_one_line(
        pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str,
        words: list[str], cause: str) -> None:
    packet = tmp_path / 'x.gsc'
    encode(pictures[:1], packet)
    capsys.readouterr()
    code = encode(pictures[:1], tmp_path / 'y.gsc', *words) if command == 'encode' else main(
        ['decode', str(packet), '-o', str(tmp_path / 'y.png'), *words])
    error = capsys.readouterr().err.strip()
    assert code == 1 and cause in error and '\n' not in error
    assert not list(tmp_path.glob('y.*'))


def test_large_pictures_are_shrunk_where_a_width_is_given(tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]
                                                          ) -> None:
    wide = tmp_path / 'wide.png'
    Image.new('RGB', (5000, 250), (90, 120, 30)).save(wide)
    assert encode([wide], tmp_path / 'x.gsc') == 1
    assert '--max-width' in capsys.readouterr().err
    assert encode([wide], tmp_path / 'x.gsc', '--max-width', '640') == 0
    capsys.readouterr()
    main(['info', str(tmp_path / 'x.gsc'), '--json'])
    fields = json.loads(capsys.readouterr().out)
    assert (fields['width'], fields['height']) == (640, 32)


def test_a_reader_that_has_enough_is_no_error(pictures: list[Path], tmp_path: Path) -> None:
    packet = tmp_path / 'x.gsc'
    encode(pictures[:1], packet)
    done = subprocess.run(
        ['bash', '-c', f'{sys.executable} -m gsc_ros.cli info {packet} | true; '
         'exit ${PIPESTATUS[0]}'], capture_output=True, text=True)
    assert done.returncode in (0, 141)
    assert done.stderr == ''


def test_children_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / 'numpy.py').write_text('print("taken from here")')
    code = ('from gsc_ros.cli import keep_children_from_here as keep; keep();'
            'import subprocess, sys;'
            'subprocess.run([sys.executable, "-m", "gsc_ros.cli", "--version"]);'
            'subprocess.run([sys.executable, "-c", "import numpy"])')
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, '-P', '-c', code], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, 'PYTHONPATH': root})
    assert 'gsc ' in done.stdout and 'taken from here' not in done.stdout, done.stderr


def test_a_fault_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    from gsc_ros.commands import doctor

    def fail(_: object) -> int:
        raise ValueError('one\ntwo')
    monkeypatch.setattr(doctor, 'run', fail)
    assert main(['doctor']) == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'unexpected ValueError: one two' in error


def test_a_short_packet_leaves_to_its_reference_what_it_does_not_say(
        capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parent / 'golden' / 'v2_inter_moved.gsc'
    assert main(['info', str(file), '--json']) == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields['format'], fields['width'], fields['bpp'], fields['reference']) == (
        2, None, None, 1)
    assert fields['bytes']['total'] == file.stat().st_size
    assert main(['info', str(file)]) == 0
    assert 'width        as in the reference' in capsys.readouterr().out
