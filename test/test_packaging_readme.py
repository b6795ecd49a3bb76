"""The documents tell the truth about parameters, commands and files."""
from pathlib import Path
import re

from gsc_ros.cli import build_parser, COMMANDS
from gsc_ros.parameters.tables import TABLES
import pytest

ROOT = Path(__file__).resolve().parents[1]
NODES = (ROOT / 'docs' / 'NODES.md').read_text(encoding='utf-8')
TEXTS = {str(file.relative_to(ROOT)): file.read_text(encoding='utf-8') for file in [
    ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'gsc_ros' / 'assets' / 'MODEL_CARD.md',
    *(ROOT / 'docs').glob('*.md')]}


@pytest.mark.parametrize('node', TABLES)
def test_every_parameter_is_documented_with_its_default(node: str) -> None:
    for parameter in TABLES[node].parameters:
        row = f'| `{parameter.name}` | '
        rows = [line for line in NODES.splitlines() if line.startswith(row)]
        assert any(f'`{parameter.default}`' in line for line in rows), f'{node}: {row}'


def test_every_diagnostic_is_documented() -> None:
    package = ROOT / 'gsc_ros'
    files = [file for file in (package / 'nodes').glob('*.py')
             if file.stem not in ('recorder_node', 'player_node', 'link_end')]    # the demo's own
    files += [package / f'{name}.py' for name in ('sender', 'receiver', 'camera')]
    named = {name for file in files for name in re.findall(
        r"counters(?:\.(?:add|gauge|set)\(\s*|\[)'(\w+)'", file.read_text())}
    assert {'lost', 'acknowledged', 'generator', 'encode_ms', 'refused_requests'} <= named
    diagnostics = NODES.split('## Diagnostics')[1].split('\n## ')[0]
    assert not {name for name in named if f'`{name}`' not in diagnostics}


@pytest.mark.parametrize('file', TEXTS)
def test_linked_files_and_sections_exist(file: str) -> None:
    for link, section in re.findall(r'\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)', TEXTS[file]):
        path = (ROOT / file).parent / link
        assert path.exists(), link
        headings = re.findall(r'^#+ (.+)$', path.read_text(encoding='utf-8') if section else '',
                              re.MULTILINE)
        assert not section or section in {re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-')
                                          for heading in headings}


@pytest.mark.parametrize('file', TEXTS)
def test_files_and_modules_that_are_named_exist(file: str) -> None:
    """Such as bench/focus.py, from the root, and codec/regions.py, from gsc_ros."""
    for name in re.findall(r'[\w./]*\w/\w+\.(?:py|yaml|json|npz|xml)\b', TEXTS[file]):
        local = name.removeprefix('src/gsc_ros/')     # in a workspace
        assert (ROOT / local).exists() or (ROOT / 'gsc_ros' / local).exists(), name
    for module in re.findall(r'\bgsc_ros(?:\.[a-z_]\w*)+', TEXTS[file]):
        path = ROOT / module.replace('.', '/')
        assert path.is_dir() or path.with_suffix('.py').is_file(), module


def test_the_readme_is_short() -> None:
    assert len(TEXTS['README.md'].encode()) <= 7000


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as done:
            build_parser().parse_args([command, '--help'])
        assert done.value.code == 0
    assert 'usage' in capsys.readouterr().out


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r'@[A-Z]{3,}@', TEXTS['README.md'])
