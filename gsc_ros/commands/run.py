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

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.line_settings import add_line_arguments, line_settings
from gsc_ros.media.sources import TOPIC_PREFIX
from gsc_ros.parameters.sides import (
    base_specs,
    base_wiring,
    budget,
    config_file,
    free_ports,
    link_params,
    loopback_specs,
    RadioSettings,
    robot_specs,
    Wiring,
)
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.processes import POLL_S, ProcessGroup, sigterm_as_interrupt
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec

SIDES = ('robot', 'base', 'loopback')
CONFIG_NAMES = {'robot': 'robot.yaml', 'base': 'base_station.yaml', 'loopback': 'loopback.yaml'}
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
                             'of the emulated radio, in 1000 bit/s')
    add_line_arguments(parser)
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


def node_specs(args: argparse.Namespace) -> list[ProcessSpec]:
    """Make the processes' specs (InvalidInputError when arguments do not go together)."""
    _check(args)
    params = args.params or config_file(CONFIG_NAMES[args.side])
    link = link_params(args.link or '', '' if args.key_file is None
                       else str(args.key_file.resolve()))
    if args.side == 'base':
        wired = base_wiring(_stream(args.input)) if args.input else {}
        return [*base_specs(params, namespace=args.namespace, link=link, **wired)]
    wiring = Wiring.of(args.input) if args.input else None
    if args.side == 'loopback':
        radio = None if args.kbps is None and not (args.loss or args.delay) else RadioSettings(
            args.kbps or RadioSettings.kbps, args.loss, args.delay, args.burst)
        return loopback_specs(params, namespace=args.namespace, radio=radio, ports=free_ports(),
                              **(wiring.loopback if wiring else {}))
    encoder_limit, link_limit = budget(args.kbps)
    if link is not None:
        link = (wiring.link_robot if wiring else {}) | link_limit | link
    return [*robot_specs(params, namespace=args.namespace, link=link,
                         encoder=(wiring.encoder if wiring else {}) | encoder_limit)]


def _check(args: argparse.Namespace) -> None:
    """Raise InvalidInputError for values out of range and options of another side."""
    loopback = args.side == 'loopback'
    if args.side == 'base' and args.kbps is not None:
        raise InvalidInputError('--kbps', args.kbps, 'only with robot or loopback')
    if args.kbps is not None and not 0.2 <= args.kbps <= 800_000:
        raise InvalidInputError('--kbps', args.kbps, '0.2..800000')
    if not loopback and (args.loss or args.delay or args.burst):
        raise InvalidInputError('side', args.side, 'loopback, where a radio is emulated')
    line_settings(args.kbps or RadioSettings.kbps, args.loss, args.delay, args.burst)
    if args.params and not args.params.is_file():
        raise InvalidInputError('--params', args.params, 'an existing file')
    if loopback and (args.link or args.key_file):
        raise InvalidInputError('--link', args.link, 'only with robot or base')
    if args.link == '' or (args.key_file and args.link is None):
        raise InvalidInputError('--link', args.link, 'a URL, or "params"')


def _stream(source: str) -> str:
    if not source.startswith(TOPIC_PREFIX):
        raise InvalidInputError('--input', source, 'topic:/camera/image_raw/gsc for the base')
    return source.removeprefix(TOPIC_PREFIX)


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
