"""``gsc``: every command of the package."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib
import logging
import sys
from types import ModuleType

from gsc_ros import __version__
from gsc_ros.codec.errors import GscError
from gsc_ros.runtime.tuning import keep_freed_memory

COMMANDS = ('encode', 'decode', 'info', 'evaluate', 'bag', 'train', 'run', 'demo', 'doctor',
            'fetch-prior')


def build_parser() -> argparse.ArgumentParser:
    """Parser with one sub-command per module of ``gsc_ros.commands``."""
    parser = argparse.ArgumentParser(
        prog='gsc', description="See through a robot's cameras over a link too thin for video.",
        epilog='Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.')
    parser.add_argument('--version', action='version', version=f'gsc {__version__}')
    subparsers = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in COMMANDS:
        _module(name).add_parser(subparsers)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f'gsc_ros.commands.{command.replace("-", "_")}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    logging.basicConfig(format='gsc: %(levelname)s: %(message)s', level=logging.WARNING)
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    try:
        return int(_module(args.command).run(args))
    except (GscError, OSError) as error:
        print(f'gsc: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('gsc: interrupted', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
