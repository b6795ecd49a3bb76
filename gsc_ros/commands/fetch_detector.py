"""``gsc fetch-detector``: the default detector's weights, for use without a network afterwards."""
from __future__ import annotations

import argparse

from gsc_ros.commands.files import check_number

_SECONDS = 60.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        'fetch-detector', help="fetch the default detector's weights",
        description='Downloads the weights of the default detector (AGPL-3.0) into the cache and '
                    'checks their hash. Nodes and other commands never download: without these '
                    'weights they use the embedded detector, which knows fewer classes.')
    parser.add_argument('--seconds', type=float, default=_SECONDS, metavar='S',
                        help='after which it is given up (default %(default)g)')


def run(args: argparse.Namespace) -> int:
    """Fetch, check, and say where they are."""
    from gsc_ros.models.pinned import fetch_weights, PINNED
    from gsc_ros.models.yolo import cache_folder
    from gsc_ros.scene.detector import DEFAULT_SOURCE
    check_number('--seconds', args.seconds, 0.1, 86400)
    file = fetch_weights(PINNED[DEFAULT_SOURCE], cache_folder(), args.seconds)
    print(f'{file}: complete, its hash agrees')
    return 0
