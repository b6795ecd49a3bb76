"""The set-up script names what a machine lacks, and mends the exports of the ROS wheels."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sysconfig

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def bare_copy(tmp_path):
    """Give a copy of the set-up script with no environment beside it."""
    return Path(shutil.copytree(ROOT / 'scripts', tmp_path / 'clone' / 'scripts')).parent


def run_setup(folder, **variables):
    environment = {name: value for name, value in os.environ.items() if name != 'ROS_DISTRO'}
    return subprocess.run(
        ['bash', 'scripts/setup_env.sh'], cwd=folder, env=environment | variables,
        capture_output=True, text=True, timeout=60)


def test_everything_missing_is_named_with_its_cure(bare_copy):
    answer = run_setup(bare_copy, CXX='no-such-compiler', PYTHON='no-such-python')
    assert answer.returncode == 3
    assert 'Python 3.11 or 3.12' in answer.stderr
    assert 'a C++ compiler' in answer.stderr
    assert 'mend it with: sudo apt install build-essential' in answer.stderr
    assert not (bare_copy / '.venv').exists()


def test_a_ros_without_its_python_is_named(bare_copy):
    answer = run_setup(bare_copy, ROS_DISTRO='jazzy', PYTHON='no-such-python')
    assert answer.returncode == 3
    assert 'ROS 2 jazzy is sourced' in answer.stderr


def test_wheel_exports_are_rewritten_once(tmp_path):
    spec = importlib.util.spec_from_file_location('fix', ROOT / 'scripts' / 'fix_wheel_paths.py')
    fix = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fix)
    export = tmp_path / 'share' / 'some_msgs' / 'cmake' / 'someExport.cmake'
    export.parent.mkdir(parents=True)
    builder = '/opt/python/cp311-cp311'
    export.write_text(
        f'set(a "{builder}/include/python3.11;/usr/include;'
        f'{builder}/lib/python3.11/site-packages/numpy/_core/include")')
    assert fix.rewrite_exports(tmp_path) == 1
    here = sysconfig.get_path('include')
    assert export.read_text() == f'set(a "{here};/usr/include;{np.get_include()}")'
    assert fix.rewrite_exports(tmp_path) == 0
