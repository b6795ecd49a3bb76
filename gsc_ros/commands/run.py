"""``gsc run``: start the robot's nodes, the base station's, or both, without ``ros2 launch``."""
from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.runner import (
    POLL_S,
    NodeSpec,
    ProcessGroup,
    base_specs,
    loopback_specs,
    robot_specs,
    sigterm_as_interrupt,
)

SIDES = ('robot', 'base', 'loopback')
CONFIG_NAMES = {'robot': 'robot.yaml', 'base': 'base_station.yaml', 'loopback': 'loopback.yaml'}
TOPIC_PREFIX = 'topic:'
DRAIN_S = 5.0  # after the end of the input: the last pictures are still under way


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``gsc run``."""
    parser = subparsers.add_parser(
        'run', help='start ROS 2 nodes: robot, base station, or both on one machine',
        description='Starts the same nodes with the same files as the launch files. Ctrl-C stops.')
    parser.add_argument('side', choices=SIDES)
    parser.add_argument('--params', type=Path, metavar='FILE',
                        help='ROS parameter file (default: the one in config/)')
    parser.add_argument('--input', metavar='SOURCE',
                        help='play this bag, video or folder of pictures as the camera, or take '
                             'topic:/camera/image_raw (robot and loopback)')
    parser.add_argument('--kbps', type=float, metavar='K',
                        help='bytes per second of the encoder and, in loopback, speed of the '
                             'link, in 1000 bit/s')
    parser.add_argument('--seconds', type=float, metavar='S', help='stop after this time')
    parser.add_argument('--namespace', default='', metavar='NS', help='namespace of all nodes')
    parser.add_argument('--log-dir', type=Path, metavar='DIR', help='where the nodes log')


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C, ``--seconds``, the end of the input, or the end of a node.

    Returns 0, or 1 when a node failed. Raises InvalidInputError for arguments that do not go
    together, MissingDependencyError where there is no rclpy.
    """
    specs = node_specs(args)
    if importlib.util.find_spec('rclpy') is None:
        raise MissingDependencyError('rclpy', 'source /opt/ros/<distro>/setup.bash, or ./demo.sh '
                                              'once, which makes .venv with ROS 2 in it')
    log_dir = args.log_dir or _default_log_dir(args.side, args.namespace)
    group = ProcessGroup(specs, log_dir=log_dir)
    try:
        with sigterm_as_interrupt(), group:
            print(f'started {", ".join(spec.name for spec in specs)}; logs in {group.log_dir}; '
                  'Ctrl-C stops', flush=True)
            ended = _watch(group, args.seconds)
    except KeyboardInterrupt:
        return 0
    for name, code in ended.items():
        print(f'gsc: error: {name} ended with {code}:\n{group.tail(name)}', file=sys.stderr)
    return 1 if ended else 0


def node_specs(args: argparse.Namespace) -> list[NodeSpec]:
    """The nodes that the arguments ask for (InvalidInputError when they do not go together)."""
    if args.side == 'base' and (args.input or args.kbps is not None):
        raise InvalidInputError('side', 'base', 'robot or loopback with --input or --kbps')
    if args.kbps is not None and not 0.2 <= args.kbps <= 800_000:
        raise InvalidInputError('--kbps', args.kbps, '0.2..800000')
    if args.params and not args.params.is_file():
        raise InvalidInputError('--params', args.params, 'an existing file')
    params = args.params or config_file(CONFIG_NAMES[args.side])
    camera, player = _source(args.input, args.namespace)
    topics = _stream_params(camera) if camera else {}
    encoder = topics.get('encoder', {})
    if args.side == 'robot':
        if args.kbps is not None:
            encoder = {**encoder, 'bytes_per_second': int(args.kbps * 125)}
        return [*robot_specs(params, namespace=args.namespace, encoder=encoder), *player]
    if args.side == 'base':
        return base_specs(params, namespace=args.namespace)
    return [*loopback_specs(params, namespace=args.namespace, kbps=args.kbps, **topics), *player]


def config_file(name: str) -> Path | None:
    """A parameter file of this package, in the source tree or installed; None if there is none."""
    places = [Path(__file__).resolve().parents[2] / 'config']
    places += [Path(prefix) / 'share' / 'gsc_ros' / 'config'
               for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
    places.append(Path(sys.prefix) / 'share' / 'gsc_ros' / 'config')
    return next((place / name for place in places if (place / name).is_file()), None)


def _source(source: str | None, namespace: str) -> tuple[str, list[NodeSpec]]:
    """Camera topic ('' for the one of the file) and the player, if the input needs one."""
    from gsc_ros.nodes.tables import ENCODER

    if source is None:
        return '', []
    if source.startswith(TOPIC_PREFIX):
        topic = source.removeprefix(TOPIC_PREFIX)
        if not topic.strip('/'):
            raise InvalidInputError('--input', source, 'topic:/camera/image_raw')
        return topic, []
    if not Path(source).exists():
        raise InvalidInputError('--input', source, 'an existing bag, video or folder, or topic:/x')
    camera: str = ENCODER['cameras'].default[0]
    player = NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', namespace=namespace,
                      params={'input': str(Path(source).resolve()), 'topic': camera},
                      required=False)
    return camera, [player]


def _stream_params(camera: str) -> dict[str, dict[str, Any]]:
    """Parameters that make all nodes of a loopback work on one camera."""
    from gsc_ros.nodes import topics
    from gsc_ros.nodes.tables import LINK

    stream = topics.stream_topic(camera)
    linked = topics.linked_topic(LINK['prefix'].default, stream)
    return {'encoder': {'cameras': [camera]}, 'link': {'streams': [stream]},
            'decoder': {'streams': [linked]},
            'detector': {'images': [topics.decoded_topics(linked).picture]}}


def _default_log_dir(side: str, namespace: str) -> Path:
    root = Path(os.environ.get('ROS_LOG_DIR') or Path.home() / '.ros' / 'log')
    return root / '_'.join(filter(None, ('gsc', side, namespace.strip('/').replace('/', '_'))))


def _watch(group: ProcessGroup, seconds: float | None) -> dict[str, int]:
    """Wait for the end; the required nodes that ended, and those that failed, with exit codes."""
    required = {spec.name for spec in group.specs if spec.required}
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    draining = False
    while time.monotonic() < deadline:
        codes = {name: code for name, code in group.poll().items() if code is not None}
        failed = {name: code for name, code in codes.items() if code or name in required}
        if failed:
            return failed
        if codes and not draining:  # the input has come to its end
            draining = True
            deadline = min(deadline, time.monotonic() + DRAIN_S)
        time.sleep(POLL_S)
    return {}
