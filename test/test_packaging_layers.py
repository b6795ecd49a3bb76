"""Arrows between packages run one way: what is higher up imports what is lower, never back."""
from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / 'gsc_ros'

# A package or file of gsc_ros may import those of later lines, and nothing of its own line.
LAYERS = (
    ('cli',),
    ('nodes', 'commands'),
    ('demo', 'training'),
    ('evaluation',),
    ('sender', 'receiver', 'parameters'),
    ('camera',),                # the sender's state of one camera
    ('encoder', 'decoder'),
    ('link',),
    ('budget',),
    ('prior', 'scene', 'media'),
    ('coders', 'runtime'),      # the registry of coders; processes, threads and their tuning
    ('models',),
    ('codec',),
    ('units',),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


@cache
def imports(file: Path) -> set[tuple[str, ...]]:
    """Return what a file of gsc_ros imports from gsc_ros, as ('codec', 'errors', 'GscError')."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{file}: imports are absolute'
            names += [f'{node.module}.{alias.name}' for alias in node.names]
    return {tuple(name.split('.')[1:]) for name in names if name.startswith('gsc_ros.')}


MODULES = {file.relative_to(ROOT).with_suffix('').parts: file for file in ROOT.rglob('*.py')
           if file != ROOT / '__init__.py'}


def test_every_package_has_a_layer() -> None:
    assert {module[0] for module in MODULES} == set(LEVEL)


@pytest.mark.parametrize('package', LEVEL)
def test_imports_go_down(package: str) -> None:
    upwards = {f'{".".join(module)} -> {imported[0]}'
               for module, file in MODULES.items() if module[0] == package
               for imported in imports(file) if imported[0] in LEVEL and imported[0] != package
               and LEVEL[imported[0]] <= LEVEL[package]}
    assert not upwards


def test_no_module_imports_itself_in_a_circle() -> None:
    """Within the packages, too; graphlib names the circle."""
    graph = {module: {imported[:length] for imported in imports(file)
                      for length in range(1, len(imported) + 1) if imported[:length] in MODULES}
             for module, file in MODULES.items()}
    TopologicalSorter(graph).prepare()
