"""Input and output files of the commands."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import math
from pathlib import Path
import sys

from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.media.outputs import check_apart
from tqdm import tqdm


def one_line(text: object) -> str:
    """Join the lines of a message, and make of a file's name what a terminal can show."""
    joined = ' '.join(str(text).split())
    return ''.join(c if c.isprintable() else '?' for c in joined)


def print_error(error: object) -> None:
    """Write the one line on standard error that says why something failed."""
    print(f'gsc: error: {one_line(error)}', file=sys.stderr)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file that was worked on before the errors of a block."""
    try:
        yield
    except (GscError, OSError, MemoryError) as error:
        if str(path) in str(error):
            raise
        raise GscError(f'{path}: {error or type(error).__name__}') from error


def work_through(sources: Sequence[Path], targets: Sequence[Path],
                 job: Callable[[Path, Path], str]) -> int:
    """
    Do a job for each input and output with a progress bar; 1 if one of them failed, else 0.

    A bad input costs only itself; what the job returns is printed.
    """
    failed = False
    pairs = list(zip(sources, targets, strict=True))
    for source, target in tqdm(pairs, unit='pic', disable=len(pairs) < 2 or None):
        try:
            with naming(source):
                tqdm.write(job(source, target), file=sys.stdout)
        except BrokenPipeError:
            raise
        except (GscError, OSError) as error:
            failed = True
            print_error(error)
    return int(failed)


def check_number(option: str, value: float | None, low: float, high: float) -> None:
    """
    Check an option; None, not given, is right.

    :raises InvalidInputError: if it is out of range.
    """
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise InvalidInputError(option, value, f'{low:g}..{high:g}')


def output_paths(inputs: Sequence[Path], out: Path, suffix: str) -> list[Path]:
    """
    Where each input's result goes.

    One input goes to the file ``out`` (or into it, if it is a folder); several go into the
    folder ``out`` under their own stems. Nothing is made yet.

    :raises InvalidInputError: if two inputs share a stem, ``out`` is a file for several, or an
        output is one of the inputs, by whatever name.
    """
    if len(inputs) == 1 and not out.is_dir():
        paths = [out]
    else:
        if out.exists() and not out.is_dir():
            raise InvalidInputError('output', out, 'a folder, because there are several inputs')
        paths = [out / f'{path.stem}{suffix}' for path in inputs]
        if len(set(paths)) != len(paths):
            raise InvalidInputError('inputs', 'two of the same stem', 'names that differ')
    for path in paths:
        check_apart(path, inputs)
    return paths


def read_packet(path: Path) -> bytes:
    """
    Read a packet file.

    :raises InvalidInputError: if it is missing or larger than any packet.
    """
    from gsc_ros.codec.bitstream import MAX_PACKET
    if not path.is_file():
        raise InvalidInputError('input', path, 'an existing .gsc file')
    if path.stat().st_size > MAX_PACKET:
        raise InvalidInputError('input', f'{path} of {path.stat().st_size} bytes',
                                f'a packet of at most {MAX_PACKET} bytes')
    return path.read_bytes()
