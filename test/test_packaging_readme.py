"""README.md and docs/NODES.md tell the truth about parameters, commands and files."""
from pathlib import Path
import re

from gsc_ros.cli import build_parser, COMMANDS
from gsc_ros.parameters.tables import TABLES
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()
NODES = (ROOT / 'docs' / 'NODES.md').read_text()
TEXTS = {'README.md': README, 'docs/NODES.md': NODES}


@pytest.mark.parametrize('node', TABLES)
def test_every_parameter_is_documented_with_its_default(node: str) -> None:
    for parameter in TABLES[node].parameters:
        row = f'| `{parameter.name}` | '
        rows = [line for line in NODES.splitlines() if line.startswith(row)]
        assert any(f'`{parameter.default}`' in line for line in rows), f'{node}: {row}'


def test_every_diagnostic_is_documented() -> None:
    files = [file for file in (ROOT / 'gsc_ros' / 'nodes').glob('*.py')
             if file.stem not in ('recorder_node', 'player_node', 'link_end')]    # the demo's own
    named = {name for file in files for name in re.findall(
        r"counters\.(?:add|gauge|set)\(\s*'(\w+)'", file.read_text())}
    assert {'lost', 'generator', 'encode_ms', 'refused_requests'} <= named
    diagnostics = NODES.split('## Diagnostics')[1].split('\n## ')[0]
    assert not {name for name in named if f'`{name}`' not in diagnostics}


@pytest.mark.parametrize('file', TEXTS)
def test_linked_files_exist(file: str) -> None:
    for link in re.findall(r'\]\((?!https?:)([^)#]+)\)', TEXTS[file]):
        assert (ROOT / file).parent.joinpath(link).exists(), link


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as done:
            build_parser().parse_args([command, '--help'])
        assert done.value.code == 0
    assert 'usage' in capsys.readouterr().out


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r'@[A-Z]{3,}@', README)
