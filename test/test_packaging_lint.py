"""ROS's own linters agree, where a ROS install brings them; elsewhere ruff stands in for them."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = [str(ROOT / name) for name in ('gsc_ros', 'launch', 'scripts', 'test', 'setup.py')]


def test_ament_flake8():
    flake8 = pytest.importorskip('ament_flake8.main')
    code, errors = flake8.main_with_errors(argv=CODE)
    assert code == 0, '\n'.join(errors)


def test_ament_pep257():
    pep257 = pytest.importorskip('ament_pep257.main')
    assert pep257.main(argv=CODE) == 0
