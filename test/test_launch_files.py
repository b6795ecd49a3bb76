"""The launch files, evaluated by launch itself; skipped where it is not installed."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

# Not 'launch' first: from the repo root that is our folder of launch files.
pytest.importorskip('launch_ros')
launch = pytest.importorskip('launch')

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import LifecycleNode, Node

LAUNCH = Path(__file__).resolve().parents[1] / 'launch'
EXPECTED = {
    'robot.launch.py': {'encoder_node', 'link_robot_node'},
    'base_station.launch.py': {
        'decoder_node', 'detector_node', 'rviz2', 'link_base_node'},
    'loopback.launch.py': {
        'encoder_node', 'link_node', 'decoder_node', 'detector_node', 'rviz2'},
}


def describe(name: str):
    """Run a launch file's generate_launch_description."""
    spec = importlib.util.spec_from_file_location('under_test', LAUNCH / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def nodes(name: str, **values: str) -> list[Node]:
    """Every node of a launch file, with launch arguments set."""
    context = launch.LaunchContext()
    found = []
    for entity in describe(name).entities:
        if isinstance(entity, DeclareLaunchArgument):
            # Defaults that look up the installed package need it to be installed.
            context.launch_configurations[entity.name] = values.get(entity.name, '')
        elif isinstance(entity, OpaqueFunction):
            found += entity.execute(context) or []
        else:
            found.append(entity)
    return [entity for entity in found if isinstance(entity, Node)]


@pytest.mark.parametrize('name', EXPECTED)
def test_launch_file_holds_its_nodes(name):
    """The right executables, ours as lifecycle nodes."""
    linked = {} if name.startswith('loopback') else {'link': 'udp://10.0.0.1:47400'}
    assert {node.node_executable for node in nodes(name, **linked)} == EXPECTED[name]
    for node in nodes(name, **linked):
        assert isinstance(node, LifecycleNode) == (node.node_executable != 'rviz2')


def test_loopback_accepts_a_speed():
    """With and without kbps the description is complete."""
    assert len(nodes('loopback.launch.py', kbps='16')) == len(nodes('loopback.launch.py')) == 5


@pytest.mark.parametrize('name', ['robot.launch.py', 'base_station.launch.py'])
def test_without_a_link_there_is_no_link_node(name):
    """Packets stay topics."""
    assert not [node for node in nodes(name) if 'link' in node.node_executable]


@pytest.mark.parametrize('name', EXPECTED)
def test_arguments_are_described(name):
    """`ros2 launch --show-args` tells what each argument does."""
    for argument in describe(name).get_launch_arguments():
        assert argument.description
