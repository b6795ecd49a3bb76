"""One version, one set of names, pinned requirements, and manifests that ROS tools accept."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import gsc_ros
import pytest

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = [ROOT / 'package.xml', ROOT / 'gsc_msgs' / 'package.xml']


@pytest.mark.parametrize('manifest', MANIFESTS, ids=lambda path: path.parent.name)
def test_manifest_is_valid(manifest):
    package = pytest.importorskip('catkin_pkg.package')
    warnings: list[str] = []
    parsed = package.parse_package(str(manifest), warnings=warnings)
    parsed.validate(warnings=warnings)
    assert warnings == []


@pytest.mark.parametrize('manifest', MANIFESTS, ids=lambda path: path.parent.name)
def test_one_version_and_its_changes(manifest):
    version = ElementTree.parse(manifest).getroot().findtext('version')
    assert version == gsc_ros.__version__
    changelog = manifest.with_name('CHANGELOG.rst').read_text(encoding='utf-8')
    assert re.search(rf'^{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n-+$', changelog, re.MULTILINE)


def test_an_installed_package_knows_its_version(tmp_path):
    """Without a package.xml beside it: what colcon and pip write when they install."""
    (tmp_path / 'gsc_ros').mkdir()
    shutil.copy(ROOT / 'gsc_ros' / '__init__.py', tmp_path / 'gsc_ros')
    installed = tmp_path / 'gsc_ros-9.8.7.dist-info'
    installed.mkdir()
    (installed / 'METADATA').write_text('Name: gsc_ros\nVersion: 9.8.7\n')
    answer = subprocess.run(
        [sys.executable, '-c', 'import gsc_ros; print(gsc_ros.__version__)'],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)}, cwd=tmp_path, capture_output=True,
        text=True, check=True)
    assert answer.stdout.strip() == '9.8.7'


@pytest.mark.parametrize('manifest', MANIFESTS, ids=lambda path: path.parent.name)
def test_changelog_names_its_package(manifest):
    changelog = manifest.with_name('CHANGELOG.rst').read_text(encoding='utf-8')
    name = ElementTree.parse(manifest).getroot().findtext('name')
    assert f'Changelog for package {name}\n' in changelog


def test_setup_reads_the_manifest():
    answer = subprocess.run(
        [sys.executable, 'setup.py', '--quiet', '--name', '--version', '--license'],
        cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ['gsc_ros', gsc_ros.__version__, 'Apache-2.0']


def test_every_folder_of_code_is_a_package():
    folders = {file.parent for file in (ROOT / 'gsc_ros').rglob('*.py')}
    assert [f.name for f in sorted(folders) if not (f / '__init__.py').is_file()] == []


@pytest.mark.parametrize('folder', ['gsc_msgs', 'launch', 'test', 'config'])
def test_other_folders_are_not_packages(folder):
    assert list((ROOT / folder).rglob('__init__.py')) == []


@pytest.mark.parametrize('name', ['runtime', 'test', 'data', 'ros-wheels'])
def test_requirements_are_pinned_and_give_a_reason(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    wanted = [line for line in lines if not line.startswith('#')]
    pattern = re.compile(r'[A-Za-z0-9._-]+(\[[a-z]+\])?==[0-9][A-Za-z0-9.]* +# \S')
    assert [line for line in wanted if not pattern.match(line)] == []


def test_constraints_agree_with_the_requirements():
    def pins(name):
        text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
        found = re.findall(r'^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)', text, re.MULTILINE)
        return {re.sub('[._-]+', '-', package).lower(): version for package, version in found}

    constraints = pins('constraints')
    for name in ('runtime', 'test', 'ros-wheels'):
        for package, version in pins(name).items():
            assert constraints.get(package, version) == version
