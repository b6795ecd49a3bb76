"""The core needs no ROS, and the codec no torch: the nodes are a thin skin on a plain library."""

from __future__ import annotations

import ast
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROS = (
    'builtin_interfaces', 'cv_bridge', 'diagnostic_msgs', 'geometry_msgs', 'gsc_msgs', 'launch',
    'launch_ros', 'lifecycle_msgs', 'rcl_interfaces', 'rclpy', 'sensor_msgs', 'std_msgs',
    'std_srvs', 'vision_msgs',
)
TORCH = ('torch', 'torchvision', 'transformers', 'diffusers', 'ultralytics', 'compressai')

BLOCK_AND_IMPORT = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in blocked:
            raise ImportError(f'{name} is blocked by this test')

blocked, modules = (argument.split(',') for argument in sys.argv[1:])
sys.meta_path.insert(0, Block())
for module in modules:
    importlib.import_module(module)
"""


def modules_below(folder: Path) -> dict[str, Path]:
    return {
        '.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): file
        for file in sorted(folder.rglob('*.py'))}


CORE = {name: file for name, file in modules_below(ROOT / 'gsc_ros').items()
        if not name.startswith('gsc_ros.nodes')}


def import_in_a_fresh_python(modules, blocked):
    return subprocess.run(
        [sys.executable, '-c', BLOCK_AND_IMPORT, ','.join(blocked), ','.join(modules)],
        cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_core_imports_without_ros():
    answer = import_in_a_fresh_python(CORE, ROS)
    assert answer.returncode == 0, answer.stderr


def test_the_codec_imports_without_ros_and_torch():
    """A node that codes and decodes plain pictures is there before torch would be loaded."""
    codec = modules_below(ROOT / 'gsc_ros' / 'codec')
    assert 'gsc_ros.codec.bitstream' in codec
    both_ends = ['gsc_ros.encoder', 'gsc_ros.decoder']
    answer = import_in_a_fresh_python([*codec, *both_ends], ROS + TORCH)
    assert answer.returncode == 0, answer.stderr


def test_the_blocker_blocks():
    answer = import_in_a_fresh_python(['gsc_ros.codec.errors'], ['gsc_ros'])
    assert 'is blocked by this test' in answer.stderr


@pytest.mark.parametrize('name', CORE)
def test_only_nodes_mention_ros(name):
    imported = set()
    for node in ast.walk(ast.parse(CORE[name].read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or '').split('.')[0])
    assert imported & set(ROS) == set()
