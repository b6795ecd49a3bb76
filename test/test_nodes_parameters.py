"""Parameter tables, YAML files, launch files, RViz file and entry points agree; no ROS needed."""
from __future__ import annotations

from functools import partial
import itertools
import os
from pathlib import Path
import re
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.parameter import KINDS, Parameter
from gsc_ros.parameters.sides import (
    base_specs,
    camera_remaps,
    loopback_specs,
    robot_specs,
    stream_remaps,
)
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
from gsc_ros.runtime.specs import NodeSpec
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
    nodes = [spec.name for spec in SPECS[path.stem]() if isinstance(spec, NodeSpec)]
    assert set(sections(path)) == {name.removeprefix('gsc_') for name in nodes}
    for kind, values in sections(path).items():
        table = TABLES[kind]
        checked = {name: table[name].check(value) for name, value in values.items()}
        table.check({**table.defaults(), **checked})


def test_yaml_topics_join_up():
    """The streams of the shipped files meet."""
    loopback = sections(ROOT / 'config/loopback.yaml')
    streams = [stream_topic(camera) for camera in loopback['encoder']['cameras']]
    assert loopback['link_robot']['streams'] == streams
    linked = [linked_topic(loopback['link_base']['prefix'], stream) for stream in streams]
    assert loopback['decoder']['streams'] == linked
    assert loopback['detector']['images'] == [decoded_topics(name).picture for name in linked]
    base = sections(ROOT / 'config/base_station.yaml')
    assert base['decoder']['streams'] == linked
    assert base['detector']['images'] == loopback['detector']['images']
    robot = sections(ROOT / 'config/robot.yaml')
    assert robot['link_robot']['streams'] == streams
    prefix = base['link_base']['prefix']
    assert base['decoder']['streams'] == [linked_topic(prefix, stream) for stream in streams]


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
def test_launch_files_have_their_yaml_file_and_use_their_arguments(path):
    """A YAML file of the same name; what `specs` reads of the arguments is declared."""
    text = path.read_text()
    assert f"describe('{path.name.removesuffix('.launch.py')}.yaml', ARGUMENTS, _specs)" in text
    declared = set(re.findall(r"^    '(\w+)': \(", text, re.M))
    used = set(re.findall(r"values\['(\w+)'\]", text))
    assert declared - {'rviz'} == used - {'params_file', 'namespace'}


def test_specs_start_what_is_installed():
    """Every node's module has a main and an entry point."""
    scripts = entry_points()
    for spec in itertools.chain.from_iterable(specs() for specs in SPECS.values()):
        path = ROOT / f'{spec.module.replace(".", "/")}.py'
        assert re.search(r'^def main\(.*\) -> (int|NoReturn):', path.read_text(), re.M)
        if isinstance(spec, NodeSpec):
            assert scripts[spec.module.rpartition('.')[2]] == f'{spec.module}:main'


def test_remapped_topics_are_those_of_the_yaml_files():
    """What a launch argument moves is what the shipped files name."""
    camera, = sections(ROOT / 'config/robot.yaml')['encoder']['cameras']
    assert camera_remaps('a/image', 'b') == {
        camera: 'a/image', compressed_topic(camera): 'a/image/compressed',
        camera_info_topic(camera): 'b'}
    stream, = sections(ROOT / 'config/base_station.yaml')['decoder']['streams']
    assert stream_remaps('x/gsc') == {stream: 'x/gsc', info_topic(stream): 'x/gsc/info'}


def test_rviz_shows_topics_that_are_published():
    """Every display listens to an output of the default base station."""
    linked, = TABLES['decoder']['streams'].default
    decoded = decoded_topics(linked)
    outputs = {decoded.picture, decoded.plain, detected_topics(decoded.picture).overlay}
    document = yaml.safe_load((ROOT / 'rviz/base_station.rviz').read_text())
    displays = document['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'] for display in displays}
    assert shown == {f'/{name}' for name in outputs}
