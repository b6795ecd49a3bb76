"""``gsc run``: start the robot's nodes, the base station's, or both, without ``ros2 launch``."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
import importlib.util
import math
import os
from pathlib import Path
import sys
import time
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.parameters import topics
from gsc_ros.parameters.tables import ENCODER, LINK
from gsc_ros.runtime.processes import (
    base_specs,
    loopback_specs,
    NodeSpec,
    POLL_S,
    ProcessGroup,
    robot_specs,
    sigterm_as_interrupt,
)

SIDES = ('robot', 'base', 'loopback')
CONFIG_NAMES = {'robot': 'robot.yaml', 'base': 'base_station.yaml', 'loopback': 'loopback.yaml'}
TOPIC_PREFIX = 'topic:'
STARTUP_S = 180.0  # loading networks on a busy small computer
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
                             'topic:/camera/image_raw; base: topic:/camera/image_raw/gsc')
    parser.add_argument('--kbps', type=float, metavar='K',
                        help='bytes per second of encoder and link, in loopback also the speed '
                             'of the link, in 1000 bit/s')
    parser.add_argument('--link', metavar='URL',
                        help='start our end of the thin link too: udp://HOST:PORT?bind=HOST:PORT, '
                             'serial:///dev/ttyUSB0?baud=57600, zenoh://..., or "params" for '
                             'what the parameter file says')
    parser.add_argument('--key-file', type=Path, metavar='FILE',
                        help='pre-shared key of the link (32 bytes, raw, hex or base64)')
    parser.add_argument('--seconds', type=float, metavar='S',
                        help='stop this long after all nodes have become active')
    parser.add_argument('--namespace', default='', metavar='NS', help='namespace of all nodes')
    parser.add_argument('--log-dir', type=Path, metavar='DIR', help='where the nodes log')


def run(args: argparse.Namespace) -> int:
    """
    Run until Ctrl-C, ``--seconds``, the end of the input, or the end of a node.

    Returns 0, or 1 when a node failed. Raises InvalidInputError for arguments that do not go
    together, MissingDependencyError where there is no rclpy.
    """
    specs, player = node_specs(args), player_specs(args)
    if importlib.util.find_spec('rclpy') is None:
        raise MissingDependencyError('rclpy', 'source /opt/ros/<distro>/setup.bash, or ./demo.sh '
                                              'once, which makes .venv with ROS 2 in it')
    log_dir = args.log_dir or _default_log_dir(args.side, args.namespace)
    nodes = ProcessGroup(specs, log_dir=log_dir)
    camera = ProcessGroup(player, log_dir=log_dir)
    try:
        with sigterm_as_interrupt(), nodes, ExitStack() as stack:
            print(f'started {", ".join(spec.name for spec in specs)}; logs in {nodes.log_dir}; '
                  'Ctrl-C stops', flush=True)
            # A recorded clip waits for nobody, and models take a while to load.
            ended = _watch([nodes], STARTUP_S, nodes.active)
            if not ended:
                print('active', flush=True)
                stack.enter_context(camera)
                ended = _play(nodes, camera, args.seconds)
    except KeyboardInterrupt:
        return 0
    for name, code in ended.items():
        tail = (camera if name in camera.poll() else nodes).tail(name)
        print(f'gsc: error: {name} ended with {code}:\n{tail}', file=sys.stderr)
    return 1 if ended else 0


def node_specs(args: argparse.Namespace) -> list[NodeSpec]:
    """Make the nodes' specs (InvalidInputError when arguments do not go together)."""
    if args.side == 'base' and args.kbps is not None:
        raise InvalidInputError('--kbps', args.kbps, 'only with robot or loopback')
    if args.kbps is not None and not 0.2 <= args.kbps <= 800_000:
        raise InvalidInputError('--kbps', args.kbps, '0.2..800000')
    if args.params and not args.params.is_file():
        raise InvalidInputError('--params', args.params, 'an existing file')
    params = args.params or config_file(CONFIG_NAMES[args.side])
    link = _link_params(args)
    if args.side == 'base':
        wired = _base_params(args.input) if args.input else {}
        return base_specs(params, namespace=args.namespace, link=link, **wired)
    wired = _stream_params(args.input) if args.input else {}
    if args.side == 'loopback':
        return loopback_specs(params, namespace=args.namespace, kbps=args.kbps, **wired)
    budget = {} if args.kbps is None else {'bytes_per_second': int(args.kbps * 125)}
    if link is not None:
        streams = {'streams': wired['link']['streams']} if wired else {}
        link = {**streams, **budget, **link}
    return robot_specs(params, namespace=args.namespace, link=link,
                       encoder={**wired.get('encoder', {}), **budget})


def _link_params(args: argparse.Namespace) -> dict[str, Any] | None:
    """Make the parameters of the link node; None without one."""
    if args.link is None and args.key_file is None:
        return None
    if args.side == 'loopback':
        raise InvalidInputError('--link', args.link, 'only with robot or base')
    if not args.link:
        raise InvalidInputError('--link', args.link, 'a URL, or "params"')
    url = {} if args.link == 'params' else {'link': args.link}
    key = {} if args.key_file is None else {'key_file': str(args.key_file.resolve())}
    return {**url, **key}


def player_specs(args: argparse.Namespace) -> list[NodeSpec]:
    """Make the spec of the node that plays ``--input``; none without it or for a live topic."""
    if not args.input or args.input.startswith(TOPIC_PREFIX):
        return []
    if not Path(args.input).exists():
        raise InvalidInputError('--input', args.input,
                                'an existing bag, video or folder, or topic:/camera/image_raw')
    params = {'input': str(Path(args.input).resolve()), 'topic': ENCODER['cameras'].default[0]}
    return [NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params=params,
                     namespace=args.namespace)]


def config_file(name: str) -> Path | None:
    """Find a parameter file in the source tree or where it is installed; None without one."""
    places = [Path(__file__).resolve().parents[2] / 'config']
    places += [Path(prefix) / 'share' / 'gsc_ros' / 'config'
               for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
    places.append(Path(sys.prefix) / 'share' / 'gsc_ros' / 'config')
    return next((place / name for place in places if (place / name).is_file()), None)


def _stream_params(source: str) -> dict[str, Any]:
    """Make the parameters with which all nodes of a loopback work on one input."""
    camera, transport = ENCODER['cameras'].default[0], 'raw'
    if source.startswith(TOPIC_PREFIX):
        topic = source.removeprefix(TOPIC_PREFIX)
        camera = topic.removesuffix('/compressed')
        transport = 'raw' if camera == topic else 'compressed'
    if not camera.strip('/'):
        raise InvalidInputError('--input', source, 'topic:/camera/image_raw')
    stream, prefix = topics.stream_topic(camera), LINK['prefix'].default
    linked = topics.linked_topic(prefix, stream)
    return {'encoder': {'cameras': [camera], 'transport': transport},
            'link': {'streams': [stream], 'prefix': prefix},
            **_base_params(TOPIC_PREFIX + linked)}


def _base_params(source: str) -> dict[str, Any]:
    """Make the parameters of decoder and detector for a stream, such as topic:/camera/x/gsc."""
    if not source.startswith(TOPIC_PREFIX):
        raise InvalidInputError('--input', source, 'topic:/camera/image_raw/gsc for the base')
    stream = source.removeprefix(TOPIC_PREFIX)
    return {'decoder': {'streams': [stream]},
            'detector': {'images': [topics.decoded_topics(stream).picture]}}


def _default_log_dir(side: str, namespace: str) -> Path:
    root = Path(os.environ.get('ROS_LOG_DIR') or Path.home() / '.ros' / 'log')
    return root / '_'.join(filter(None, ('gsc', side, namespace.strip('/').replace('/', '_'))))


def _play(nodes: ProcessGroup, camera: ProcessGroup, seconds: float | None) -> dict[str, int]:
    """Run for ``seconds`` or until the input ends; exit codes of nodes that ended on their own."""
    def input_ended() -> bool:
        return 0 in camera.poll().values()

    ended = _watch([nodes, camera], seconds, input_ended)
    return ended or (_watch([nodes], DRAIN_S, lambda: False) if input_ended() else {})


def _watch(groups: list[ProcessGroup], seconds: float | None, done: Callable[[], bool]
           ) -> dict[str, int]:
    """Wait until ``done`` or the time is up; exit codes of nodes that ended on their own."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    while time.monotonic() < deadline and not done():
        ended = {name: code for group in groups for name, code in group.poll().items()
                 if code is not None}
        if ended:
            return ended
        time.sleep(POLL_S)
    return {}
