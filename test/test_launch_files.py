"""The launch files, evaluated by launch itself; skipped where it is not installed."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

# Not 'launch' first: from the repo root that is our folder of launch files.
pytest.importorskip('launch_ros')
launch = pytest.importorskip('launch')

from gsc_ros.codec.errors import MissingDependencyError
from gsc_ros.nodes import launching
from launch import Action
from launch.actions import DeclareLaunchArgument
from launch_ros.actions import LifecycleNode, Node

LAUNCH = Path(__file__).resolve().parents[1] / 'launch'
EXPECTED = {
    'robot.launch.py': {'encoder_node', 'link_robot_node'},
    'base_station.launch.py': {
        'decoder_node', 'detector_node', 'link_base_node'},
    'loopback.launch.py': {
        'encoder_node', 'link_robot_node', 'link_base_node', 'decoder_node', 'detector_node'},
}


def describe(name: str):
    """Run a launch file's generate_launch_description."""
    spec = importlib.util.spec_from_file_location('under_test', LAUNCH / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def actions(name: str, **values: str) -> list[Action]:
    """Everything that a launch file starts, with launch arguments set."""
    context = launch.LaunchContext()
    found = []
    for entity in describe(name).entities:
        if isinstance(entity, DeclareLaunchArgument):
            default = launch.utilities.perform_substitutions(context, entity.default_value)
            context.launch_configurations[entity.name] = values.get(entity.name, default)
        else:
            found += entity.execute(context) or []
    return found


def executables(name: str, **values: str) -> set[str]:
    """Return the executables of the nodes of a launch file."""
    return {node.node_executable for node in actions(name, **values) if isinstance(node, Node)}


@pytest.mark.parametrize('name', EXPECTED)
def test_launch_file_holds_its_nodes(name):
    """The right executables, all as lifecycle nodes; in loopback a radio beside them."""
    linked = {} if name.startswith('loopback') else {'link': 'udp://10.0.0.1:47400'}
    assert executables(name, **linked) == EXPECTED[name]
    others = [action for action in actions(name, **linked)
              if not isinstance(action, LifecycleNode)]
    assert len(others) == name.startswith('loopback')


def test_without_a_detector():
    """detector:=false starts none."""
    assert 'detector_node' not in executables('loopback.launch.py', detector='false')


@pytest.mark.parametrize('name', ['robot.launch.py', 'base_station.launch.py'])
def test_without_a_link_there_is_no_link_node(name):
    """Packets stay topics."""
    assert not [node for node in executables(name) if 'link' in node]


def test_rviz_is_checked_before_anything_starts(monkeypatch):
    """Without it no node runs on alone; with it the topics follow the namespace."""
    monkeypatch.setattr(launching.shutil, 'which', lambda name: None)
    with pytest.raises(MissingDependencyError, match='rviz2'):
        actions('loopback.launch.py', rviz='true')
    monkeypatch.setattr(launching.shutil, 'which', lambda name: '/usr/bin/rviz2')
    assert 'rviz2' in executables('base_station.launch.py', rviz='true', namespace='robot1')


@pytest.mark.parametrize('name', EXPECTED)
def test_arguments_are_described(name):
    """`ros2 launch --show-args` tells what each argument does."""
    for argument in describe(name).get_launch_arguments():
        assert argument.description
