"""Parameter tables, YAML files, launch files, RViz file and entry points agree; no ROS needed."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
import os
from pathlib import Path
import re
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.table import KINDS, Parameter
from gsc_ros.parameters.tables import TABLES
from gsc_ros.parameters.topics import (
    camera_info_topic,
    compressed_topic,
    decoded_topics,
    detected_topics,
    info_topic,
    linked_topic,
    stream_topic,
)
from gsc_ros.runtime.processes import base_specs, loopback_specs, robot_specs
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'config').glob('*.yaml'))
LAUNCHES = sorted((ROOT / 'launch').glob('*.launch.py'))
SPECS = {'robot': partial(robot_specs, link={}), 'base_station': partial(base_specs, link={}),
         'loopback': loopback_specs}
ALL = [pytest.param(parameter, id=f'{kind}-{parameter.name}')
       for kind, table in TABLES.items() for parameter in table.parameters]


@pytest.mark.parametrize('parameter', ALL)
def test_parameter_is_sound(parameter):
    """Its default passes its own check, its range is complete and it explains itself."""
    assert parameter.kind in KINDS
    assert parameter.check(parameter.default) == parameter.default
    assert (parameter.low is None) == (parameter.high is None)
    assert parameter.description.endswith('.')
    assert parameter.choices or parameter.kind in ('bool', 'str', 'str_list') or (
        parameter.low is not None and parameter.low < parameter.high)


@pytest.mark.parametrize('parameter', ALL)
def test_parameter_refuses_other_types_and_ranges(parameter):
    """What is refused is named with its value and what is allowed."""
    bad: list[Any] = [None, {}, b'x']
    if parameter.low is not None:
        beyond = parameter.high + 1
        bad += [[beyond], []] if parameter.kind == 'float_list' else [beyond, float('nan'), True]
    if parameter.choices:
        bad += ['no such choice', '']
    if parameter.kind == 'str_list':
        bad += [[], [1], 'text']
    for value in bad:
        with pytest.raises(InvalidInputError) as caught:
            parameter.check(value)
        assert parameter.name in str(caught.value)
        assert parameter.allowed in str(caught.value)


def test_an_integer_serves_as_a_float():
    """`max_rate: 2` in a YAML file is meant as 2.0."""
    checked = Parameter('x', 'float', 1.0, 'x.', 0.0, 5.0).check(2)
    assert checked == 2.0
    assert isinstance(checked, float)


def test_names_are_unique_and_used_by_the_node():
    """No parameter twice, none without effect, none read that is not declared."""
    package = ROOT / 'gsc_ros'
    more = {'encoder': ['nodes/info_messages', 'sender', 'scene/watcher'],
            'link_robot': ['nodes/link_end'], 'link_base': ['nodes/link_end']}
    for kind, table in TABLES.items():
        names = [parameter.name for parameter in table.parameters]
        assert len(set(names)) == len(names)
        modules = [f'nodes/{kind}_node', 'nodes/lifecycle', *more.get(kind, [])]
        source = ''.join((package / f'{module}.py').read_text() for module in modules)
        used = set(re.findall(r"""(?:parameters|values)\[['"](\w+)['"]\]""", source))
        assert used == set(names)


@pytest.mark.parametrize(('values', 'named'), [
    ({'min_bytes': 600, 'max_bytes': 500}, 'min_bytes'), ({'cameras': ['a', 'a']}, 'cameras'),
    ({'cameras': ['']}, 'cameras'), ({'priorities': [1.0, 2.0]}, 'priorities')])
def test_combinations_are_checked(values, named):
    """Parameters that contradict each other are refused."""
    check_combination('encoder', values, named)


@pytest.mark.parametrize(('values', 'named'), [
    ({'streams': [f'camera{index}/gsc' for index in range(17)]}, 'streams'),
    ({'streams': ['a/gsc', 'a/gsc']}, 'streams')])
def test_combinations_of_the_link_are_checked(values, named):
    """The same at the robot's end of the link."""
    check_combination('link_robot', values, named)


def check_combination(kind, values, named):
    """Expect a refusal of values that were changed from the defaults."""
    table = TABLES[kind]
    table.check(table.defaults())
    with pytest.raises(InvalidInputError, match=named):
        table.check({**table.defaults(), **values})


def test_default_topics_join_up():
    """Encoder, link, decoder and detector meet without any configuration."""
    camera, = TABLES['encoder']['cameras'].default
    stream, = TABLES['link']['streams'].default
    linked, = TABLES['decoder']['streams'].default
    image, = TABLES['detector']['images'].default
    assert stream == stream_topic(camera)
    assert linked == linked_topic(TABLES['link']['prefix'].default, stream)
    assert TABLES['link_robot']['streams'].default == [stream]
    assert TABLES['link_base']['prefix'].default == TABLES['link']['prefix'].default
    assert image == decoded_topics(linked).picture


def test_topic_names():
    """The names that the documentation promises."""
    assert stream_topic('/camera/image_raw') == '/camera/image_raw/gsc'
    assert info_topic('/camera/image_raw/gsc') == '/camera/image_raw/gsc/info'
    assert linked_topic('/base', '/camera/image_raw/gsc') == '/base/camera/image_raw/gsc'
    assert linked_topic('base', 'camera/x') == 'base/camera/x'
    assert linked_topic('', '/camera/x') == '/camera/x'
    assert camera_info_topic('/camera/image_raw') == '/camera/camera_info'
    assert camera_info_topic('image') == 'camera_info'
    assert compressed_topic('/camera/image_raw') == '/camera/image_raw/compressed'
    names = decoded_topics('/base/camera/image_raw/gsc')
    assert names.picture == '/base/camera/decoded/image_raw'
    assert names.plain == '/base/camera/plain/image_raw'
    assert names.camera_info == '/base/camera/decoded/camera_info'
    assert decoded_topics('image/gsc').picture == 'decoded/image_raw'
    assert detected_topics(names.picture).overlay == '/base/camera/decoded/overlay'
    for bad in ('/camera/image_raw', '/gsc', ''):
        with pytest.raises(InvalidInputError):
            decoded_topics(bad)


def sections(path: Path) -> dict[str, dict[str, Any]]:
    """Parameters of each kind of node in a YAML file."""
    document = yaml.safe_load(path.read_text())
    out = {}
    for key, value in document.items():
        matched = re.fullmatch(r'/\*\*/gsc_(\w+)', key)
        assert matched, f'{path.name}: {key} does not hold in every namespace'
        assert list(value) == ['ros__parameters']
        out[matched[1]] = value['ros__parameters']
    return out


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.name)
def test_yaml_files_set_declared_parameters_to_allowed_values(path):
    """Every name is declared, every value allowed, every combination too."""
    assert set(sections(path)) == {
        spec.name.removeprefix('gsc_') for spec in SPECS[path.stem]()}
    for kind, values in sections(path).items():
        table = TABLES[kind]
        checked = {name: table[name].check(value) for name, value in values.items()}
        table.check({**table.defaults(), **checked})


def test_yaml_topics_join_up():
    """The streams of the shipped files meet."""
    loopback = sections(ROOT / 'config/loopback.yaml')
    streams = [stream_topic(camera) for camera in loopback['encoder']['cameras']]
    assert loopback['link']['streams'] == streams
    linked = [linked_topic(loopback['link']['prefix'], stream) for stream in streams]
    assert loopback['decoder']['streams'] == linked
    assert loopback['detector']['images'] == [decoded_topics(name).picture for name in linked]
    base = sections(ROOT / 'config/base_station.yaml')
    assert base['decoder']['streams'] == linked
    assert base['detector']['images'] == loopback['detector']['images']
    robot = sections(ROOT / 'config/robot.yaml')
    assert robot['link_robot']['streams'] == streams
    prefix = base['link_base']['prefix']
    assert base['decoder']['streams'] == [linked_topic(prefix, stream) for stream in streams]


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr], ast.Call]]:
    """Name, keyword arguments and node of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, {word.arg: word.value for word in node.keywords if word.arg}, node


def launched(path: Path) -> dict[str, str]:
    """Node name by executable of our own nodes in a launch file."""
    return {words['executable'].value: words['name'].value
            for name, words, _ in calls(path) if name == 'LifecycleNode'}


def entry_points() -> dict[str, str]:
    """Console scripts of setup.py."""
    core = pytest.importorskip('setuptools').distutils.core
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        scripts = core.run_setup('setup.py', stop_after='init').entry_points['console_scripts']
    finally:
        os.chdir(before)
    return dict(re.split(r'\s*=\s*', script, maxsplit=1) for script in scripts)


@pytest.mark.parametrize('path', LAUNCHES, ids=lambda path: path.name)
def test_launch_files_start_what_the_runner_starts(path):
    """Same nodes, same names, a YAML file of the same name, and entry points that exist."""
    specs = SPECS[path.name.removesuffix('.launch.py')]()
    assert launched(path) == {
        spec.module.rpartition('.')[2]: spec.name for spec in specs}
    assert f"'{path.name.removesuffix('.launch.py')}.yaml'" in path.read_text()
    scripts = entry_points()
    for spec in specs:
        executable = spec.module.rpartition('.')[2]
        assert scripts[executable] == f'{spec.module}:main'
        assert 'def main() -> int:' in (ROOT / f'{spec.module.replace(".", "/")}.py').read_text()


@pytest.mark.parametrize('path', LAUNCHES, ids=lambda path: path.name)
def test_launch_arguments_are_described_and_used(path):
    """Every argument says what it is for; none is missing, none without effect."""
    declared, used = set(), set()
    for name, words, node in calls(path):
        if name == 'DeclareLaunchArgument':
            assert words['description'].value
            assert 'default_value' in words
            declared.add(node.args[0].value)
        elif name == 'LaunchConfiguration':
            used.add(node.args[0].value)
    assert declared == used


@pytest.mark.parametrize('path', LAUNCHES, ids=lambda path: path.name)
def test_launch_files_set_declared_parameters_and_remap_topics_in_use(path):
    """Parameter names exist in the tables; remapped names are those of the YAML file."""
    names = {name for table in TABLES.values() for name in table.defaults()}
    kinds = sections(ROOT / 'config' / f"{path.name.removesuffix('.launch.py')}.yaml")
    topics = set()
    for camera in kinds.get('encoder', {}).get('cameras', []):
        topics |= {camera, compressed_topic(camera), camera_info_topic(camera)}
    for stream in kinds.get('decoder', {}).get('streams', []):
        topics |= {stream, info_topic(stream)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.List) and any(isinstance(item, ast.Dict) for item in node.elts):
            for item in node.elts:
                assert {key.value for key in getattr(item, 'keys', [])} <= names
        if isinstance(node, ast.keyword) and node.arg == 'remappings':
            assert {pair.elts[0].value for pair in node.value.elts} <= topics


def test_rviz_shows_topics_that_are_published():
    """Every display listens to an output of the default base station."""
    linked, = TABLES['decoder']['streams'].default
    decoded = decoded_topics(linked)
    outputs = {decoded.picture, decoded.plain, detected_topics(decoded.picture).overlay}
    document = yaml.safe_load((ROOT / 'rviz/base_station.rviz').read_text())
    displays = document['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'] for display in displays}
    assert shown == {f'/{name}' for name in outputs}
