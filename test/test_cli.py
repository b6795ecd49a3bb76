"""Commands, exit codes and messages that a script can rely on."""
import json
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
