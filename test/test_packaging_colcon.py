"""A ROS user can build both packages with colcon, from a clone and from a workspace."""

from __future__ import annotations

from configparser import ConfigParser
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COLCON = shutil.which('colcon', path=f'{BIN}{os.pathsep}{os.environ["PATH"]}')

pytestmark = [
    pytest.mark.skipif(COLCON is None, reason='colcon is not installed'),
    pytest.mark.skipif(shutil.which('c++') is None, reason='no C++ compiler'),
]


def colcon(cwd, *arguments, timeout=60):
    """Run colcon under this Python, on this Python's ROS if it came from wheels."""
    environment = {**os.environ, 'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}'}
    if (Path(sys.prefix) / 'share' / 'ament_cmake').is_dir():
        environment |= {'AMENT_PREFIX_PATH': sys.prefix, 'CMAKE_PREFIX_PATH': sys.prefix}
    answer = subprocess.run(
        [sys.executable, COLCON, '--log-base', os.devnull, *arguments], cwd=cwd,
        env=environment, capture_output=True, text=True, timeout=timeout)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """Give a workspace as a user lays it out: the clone below src, its defaults linked."""
    folder = tmp_path_factory.mktemp('workspace')
    (folder / 'src').mkdir()
    (folder / 'src' / 'gsc_ros').symlink_to(ROOT)
    (folder / 'colcon_defaults.yaml').symlink_to(ROOT / 'colcon_defaults.yaml')
    return folder


@pytest.fixture(scope='module')
def installed(workspace):
    """Build the workspace once and give its install folder."""
    colcon(workspace, 'build', '--cmake-args', '-DBUILD_TESTING=OFF',
           f'-DPython3_EXECUTABLE={sys.executable}', timeout=600)
    return workspace / 'install'


def test_both_packages_are_found_from_the_clone():
    assert colcon(ROOT, 'list', '--names-only').split() == ['gsc_msgs', 'gsc_ros']


def test_both_packages_are_found_from_a_workspace(workspace):
    assert colcon(workspace, 'list', '--names-only').split() == ['gsc_msgs', 'gsc_ros']


@pytest.mark.slow
def test_it_builds_from_the_clone_too(installed, tmp_path):
    # The messages, which take most of the time, are those of the workspace.
    text = colcon(ROOT, 'build', '--packages-select', 'gsc_ros', '--build-base', str(tmp_path),
                  '--install-base', str(installed))
    assert '1 package finished' in text


@pytest.mark.slow
def test_messages_are_installed(installed):
    answer = subprocess.run(
        ['bash', '-c', f'source {installed}/local_setup.bash && exec {sys.executable} -c '
         '"import gsc_msgs.msg as m; print(m.__file__); m.SemanticFrame(data=b\'x\')"'],
        cwd=installed, capture_output=True, text=True)
    assert answer.stdout.startswith(str(installed)), answer.stderr
    assert answer.returncode == 0, answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize('pattern', ['launch/*.py', 'config/*.yaml', 'rviz/*.rviz'])
def test_files_are_installed(installed, pattern):
    wanted = {file.name: file.read_bytes() for file in ROOT.glob(pattern)}
    share = installed / 'gsc_ros' / 'share' / 'gsc_ros'
    assert wanted
    assert {file.name: file.read_bytes() for file in share.glob(pattern)} == wanted


@pytest.mark.slow
def test_package_data_is_installed(installed):
    package, = (installed / 'gsc_ros' / 'lib').glob('python3*/site-packages/gsc_ros')
    missing = [
        str(file.relative_to(ROOT)) for file in (ROOT / 'gsc_ros').rglob('*')
        if file.is_file() and '__pycache__' not in file.parts
        and not (package / file.relative_to(ROOT / 'gsc_ros')).is_file()]
    assert missing == []


@pytest.mark.slow
def test_executables_are_installed_and_lead_to_code(installed):
    package = installed / 'gsc_ros' / 'lib'
    entry_points = ConfigParser()
    entry_points.read(next(package.glob('python3*/site-packages/gsc_ros-*/entry_points.txt')))
    scripts = dict(entry_points['console_scripts'])
    assert set(scripts) == {
        'gsc', 'encoder_node', 'decoder_node', 'detector_node', 'link_node', 'link_robot_node',
        'link_base_node', 'player_node', 'recorder_node'}
    for script, target in scripts.items():
        assert os.access(package / 'gsc_ros' / script, os.X_OK)
        module, function = target.split(':')
        code = (ROOT / module.replace('.', '/')).with_suffix('.py').read_text(encoding='utf-8')
        assert f'def {function}(' in code
