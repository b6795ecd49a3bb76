"""Tests of the process runner and of ``gsc run``, with stand-ins for nodes; no ROS needed."""
from __future__ import annotations

import argparse
from pathlib import Path
import sys
import time

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.commands import run as command
from gsc_ros.parameters.link import LINK_ROBOT
from gsc_ros.parameters.sides import base_specs, loopback_specs, RadioSettings
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.processes import FASTDDS_TRANSPORTS, node_environment, ProcessGroup
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec, ros_arguments
import pytest
import yaml

STAND_INS = {
    'polite': 'import signal, time\nprint("[gsc_polite]: active: up", flush=True)\n'
              'try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print("bye")\n',
    'stubborn': 'import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n'
                'print("up", flush=True)\ntime.sleep(60)\n',
    'broken': 'import sys\nprint("what went wrong")\nsys.exit(3)\n',
    'done': 'print("all done")\n',
    'shows': 'import os, sys\nprint(sys.argv[1:])\nprint(os.environ["MARK"])\n'
             'print(os.environ["FASTDDS_BUILTIN_TRANSPORTS"])\n',
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Make specs of stand-in modules."""
    for name, source in STAND_INS.items():
        (tmp_path / f'{name}.py').write_text(source)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.delenv('FASTDDS_BUILTIN_TRANSPORTS', raising=False)
    return lambda module, **words: NodeSpec(module, f'gsc_{module}', **words)


def until_up(group: ProcessGroup, name: str) -> None:
    """Wait for a stand-in's first line."""
    deadline = time.monotonic() + 30
    while 'up' not in group.tail(name):
        assert time.monotonic() < deadline, group.tail(name)
        time.sleep(0.05)


def test_stop_is_clean_and_kills_only_the_stubborn(stand_in, tmp_path):
    """SIGINT ends what listens; the rest is killed after the grace period."""
    group = ProcessGroup([stand_in('polite'), stand_in('stubborn')], log_dir=tmp_path / 'log')
    with group:
        for spec in group.specs:
            until_up(group, spec.name)
        assert set(group.poll().values()) == {None}
        group.stop(grace_s=0.5)
    assert group.poll() == {'gsc_polite': 0, 'gsc_stubborn': -9}
    assert group.tail('gsc_polite', 1) == 'bye\n'


@pytest.mark.parametrize(('module', 'code'), [('broken', 3), ('done', 0)])
def test_the_end_of_one_ends_all(stand_in, tmp_path, module, code):
    """Wait reports who ended first and stops the others."""
    with ProcessGroup([stand_in('polite'), stand_in(module)], log_dir=tmp_path / 'log') as group:
        until_up(group, 'gsc_polite')
        assert group.wait(30) == {'gsc_polite': None, f'gsc_{module}': code}
        assert group.poll()['gsc_polite'] == 0
        assert group.failed() == ({f'gsc_{module}': 3} if code else {})


def test_a_node_that_is_not_required_may_end(stand_in, tmp_path):
    """Its end does not end the group, unless it failed."""
    specs = [stand_in('polite'), stand_in('done', required=False)]
    with ProcessGroup(specs, log_dir=tmp_path / 'log') as group:
        assert group.wait(3.0)['gsc_polite'] is None
        assert group.poll()['gsc_polite'] is None


def test_arguments_environment_and_parameters(stand_in, tmp_path):
    """A node gets its name, namespace, remaps and files, the last with the parameters."""
    extra = tmp_path / 'extra.yaml'
    spec = stand_in('shows', params={'word': 'no', 'number': 2.0, 'empty': []},
                    namespace='/robot1/', params_files=[extra], remaps={'a': 'b'})
    with ProcessGroup([spec], log_dir=tmp_path / 'log', env={'MARK': 'seen'}) as group:
        group.wait(30)
    written = tmp_path / 'log' / 'gsc_shows.params.yaml'
    assert ros_arguments(spec, written) == [
        '--ros-args', '-r', '__node:=gsc_shows', '-r', '__ns:=/robot1', '-r', 'a:=b',
        '--params-file', str(extra), '--params-file', str(written)]
    lines = group.tail('gsc_shows').splitlines()
    assert lines == [str(ros_arguments(spec, written)), 'seen', FASTDDS_TRANSPORTS]
    assert yaml.safe_load(written.read_text()) == {
        '/robot1/gsc_shows': {'ros__parameters': {'word': 'no', 'number': 2.0}}}


def test_the_users_transport_is_kept(monkeypatch, tmp_path):
    """FASTDDS_BUILTIN_TRANSPORTS of the caller wins."""
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    assert node_environment(tmp_path)['FASTDDS_BUILTIN_TRANSPORTS'] == 'UDPv4'


def test_two_nodes_of_one_name_are_refused(stand_in, tmp_path):
    """Their logs and parameters would collide."""
    with pytest.raises(InvalidInputError):
        ProcessGroup([stand_in('done'), stand_in('done')], log_dir=tmp_path)


def test_tail_of_a_node_that_wrote_nothing(tmp_path):
    """An empty text, not an error."""
    assert ProcessGroup([], log_dir=tmp_path).tail('nobody') == ''


def arguments(*words: str) -> argparse.Namespace:
    """Parse as ``gsc`` does."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(dest='command'))
    return parser.parse_args(['run', *words])


def names(specs: list[ProcessSpec]) -> list[str]:
    """Names without the prefix."""
    return [spec.name.removeprefix('gsc_') for spec in specs]


def test_run_starts_the_right_nodes(tmp_path):
    """Each side with its own file; the speed reaches link and encoder."""
    robot = command.node_specs(arguments('robot', '--kbps', '16'))
    assert names(robot) == ['encoder']
    assert robot[0].params == {'bytes_per_second': 2000}
    assert robot[0].params_files[0].name == 'robot.yaml'
    base = command.node_specs(arguments('base', '--namespace', 'station'))
    assert names(base) == ['decoder', 'detector']
    assert {spec.full_name for spec in base} == {'/station/gsc_decoder', '/station/gsc_detector'}
    heard = command.node_specs(arguments('base', '--input', 'topic:/camera/image_raw/gsc'))
    assert [spec.params for spec in heard] == [
        {'streams': ['/camera/image_raw/gsc']}, {'images': ['/camera/decoded/image_raw']}]
    assert names(base_specs(with_detector=False)) == ['decoder']


def test_loopback_goes_through_both_ends_of_the_link_and_a_radio():
    """The speed reaches encoder, link and radio; all three agree on the ports."""
    loop = command.node_specs(arguments(
        'loopback', '--kbps', '8', '--loss', '5', '--delay', '200', '--burst', '250'))
    assert names(loop) == ['encoder', 'link_robot', 'radio', 'decoder', 'link_base', 'detector']
    encoder, link_robot, radio, _, link_base, _ = loop
    assert encoder.params == {'bytes_per_second': ENCODER['bytes_per_second'].default}
    values = dict(word.removeprefix('--').split('=') for word in radio.arguments)
    assert (values.pop('robot'), values.pop('base')) == (
        link_robot.params['link'].removeprefix('udp://'),
        link_base.params['link'].removeprefix('udp://?bind='))
    assert {name: float(value) for name, value in values.items()} == {
        'kbps': 8, 'loss': 5, 'delay': 200, 'burst': 250}
    assert radio.module == 'gsc_ros.link.radio'
    slow = loopback_specs(radio=RadioSettings(kbps=0.5), encoder={'max_rate': 7.0})
    assert slow[0].params == {'bytes_per_second': 62, 'max_rate': 7.0}
    assert slow[1].params['bytes_per_second'] == LINK_ROBOT['bytes_per_second'].low
    assert loopback_specs()[0].params == {}


def test_run_input_joins_all_nodes(tmp_path):
    """A file brings the player; a topic is followed through encoder, link, decoder, detector."""
    played = arguments('loopback', '--input', str(tmp_path), '--namespace', 'robot1')
    player, = command.player_specs(played)
    assert player.full_name == '/robot1/gsc_player'
    assert player.params == {'input': str(tmp_path), 'topic': 'camera/image_raw'}
    assert command.node_specs(played)[0].params['cameras'] == ['camera/image_raw']
    live = arguments('loopback', '--input', 'topic:/front/image/compressed')
    assert command.player_specs(live) == []
    encoder, link_robot, decoder, link_base, detector = (
        spec.params for spec in command.node_specs(live) if isinstance(spec, NodeSpec))
    assert encoder == {'cameras': ['/front/image'], 'transport': 'compressed'}
    assert link_robot['streams'] == ['/front/image/gsc']
    assert link_base['prefix'] == 'base'
    assert decoder == {'streams': ['/base/front/image/gsc']}
    assert detector == {'images': ['/base/front/decoded/image_raw']}


def test_run_starts_the_link(tmp_path):
    """A URL brings our end of the link; speed, streams and key file reach it."""
    encoder, link = command.node_specs(arguments(
        'robot', '--link', 'udp://10.0.0.1:1', '--kbps', '16', '--key-file', str(tmp_path / 'k'),
        '--input', 'topic:/front/image'))
    assert (link.module, link.name) == ('gsc_ros.nodes.link_robot_node', 'gsc_link_robot')
    assert link.params == {
        'streams': ['/front/image/gsc'], 'bytes_per_second': 2000, 'link': 'udp://10.0.0.1:1',
        'key_file': str(tmp_path / 'k')}
    assert encoder.params['bytes_per_second'] == 2000
    base = command.node_specs(arguments('base', '--link', 'params'))
    assert names(base) == ['decoder', 'link_base', 'detector']
    assert base[1].params == {}
    assert command.node_specs(arguments('robot', '--link', 'params'))[1].params == {}


@pytest.mark.parametrize('words', [
    ('loopback', '--link', 'udp://10.0.0.1:1'), ('robot', '--link', ''),
    ('base', '--key-file', 'k'),
    ('base', '--kbps', '8'), ('base', '--input', 'x'), ('base', '--input', 'topic:/x'),
    ('robot', '--input', '/no/such/file'),
    ('robot', '--loss', '5'), ('loopback', '--loss', '101'), ('loopback', '--delay', '-1'),
    ('robot', '--input', 'topic:'), ('robot', '--kbps', '0'), ('robot', '--params', '/no/file')])
def test_run_refuses_arguments_that_do_not_fit(words):
    """Each names what is wrong."""
    with pytest.raises(InvalidInputError):
        command.node_specs(arguments(*words)) + command.player_specs(arguments(*words))


def stand_in_run(monkeypatch, nodes: list[NodeSpec], player: list[NodeSpec], tmp_path: Path,
                 *words: str) -> int:
    """Do ``gsc run`` with stand-ins."""
    monkeypatch.setattr(command, 'node_specs', lambda args: nodes)
    monkeypatch.setattr(command, 'player_specs', lambda args: player)
    monkeypatch.setattr(command.importlib.util, 'find_spec', lambda name: object())
    return command.run(arguments('robot', '--log-dir', str(tmp_path / 'log'), *words))


def test_run_ends_with_its_nodes(monkeypatch, stand_in, tmp_path, capsys):
    """A node that ends: 1 and its last lines; the time is up, or the input has ended: 0."""
    polite, broken, done = (stand_in(name) for name in ('polite', 'broken', 'done'))
    assert stand_in_run(monkeypatch, [polite, broken], [], tmp_path) == 1
    assert 'gsc_broken ended with 3:\nwhat went wrong' in capsys.readouterr().err
    assert stand_in_run(monkeypatch, [polite], [broken], tmp_path) == 1
    assert 'gsc_broken ended with 3' in capsys.readouterr().err
    assert stand_in_run(monkeypatch, [polite], [], tmp_path, '--seconds', '0.3') == 0
    monkeypatch.setattr(command, 'DRAIN_S', 0.2)
    assert stand_in_run(monkeypatch, [polite], [done], tmp_path) == 0


def test_the_player_waits_for_the_nodes(stand_in, tmp_path):
    """A group is active once every log says so."""
    group = ProcessGroup([stand_in('polite')], log_dir=tmp_path / 'log')
    assert not group.active()
    with group:
        until_up(group, 'gsc_polite')
        assert group.active()


def test_run_without_ros_names_the_cure(monkeypatch):
    """No rclpy: a typed error that says how to get it."""
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    monkeypatch.setattr(command.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(MissingDependencyError, match='rclpy'):
        command.run(arguments('robot'))
