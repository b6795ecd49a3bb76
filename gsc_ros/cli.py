"""``gsc``: every command of the package."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib
import io
import logging
import os
from pathlib import Path
import sys
from types import ModuleType
import warnings

import gsc_ros
from gsc_ros import __version__
from gsc_ros.codec.errors import GscError
from gsc_ros.commands.files import print_error
from gsc_ros.runtime.tuning import keep_freed_memory

COMMANDS = ('encode', 'decode', 'info', 'evaluate', 'bag', 'train', 'run', 'demo', 'doctor',
            'fetch-prior', 'fetch-detector')
BROKEN_PIPE = 141   # as a shell says of a program that a pipe ended


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
    warnings.filterwarnings('ignore', module='PIL')   # what matters is said by our errors
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')   # names of files may be no Unicode
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    keep_children_from_here()
    try:
        code = int(_module(args.command).run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read has enough; what is left in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (GscError, OSError, MemoryError) as error:
        print_error(error or type(error).__name__)
        return 1
    except KeyboardInterrupt:
        print('gsc: interrupted', file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get('GSC_TRACEBACK'):
            raise
        print_error(f'unexpected {type(error).__name__}: {error} (a fault of gsc; '
                    'GSC_TRACEBACK=1 shows where)')
        return 1


def keep_children_from_here() -> None:
    """
    Let no Python that is started from this one import modules from the current folder.

    ``python -m`` and multiprocessing would: a data set may hold a file called numpy.py.
    """
    if 'PYTHONSAFEPATH' in os.environ:
        return
    home = str(Path(gsc_ros.__file__).resolve().parents[1])
    os.environ['PYTHONPATH'] = os.pathsep.join(
        part for part in (os.environ.get('PYTHONPATH'), home) if part)
    os.environ['PYTHONSAFEPATH'] = '1'


if __name__ == '__main__':
    sys.exit(main())
