"""Input and output files of the commands."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsc_ros.codec.errors import InvalidInputError


def output_paths(inputs: Sequence[Path], out: Path, suffix: str) -> list[Path]:
    """
    Where each input's result goes.

    One input goes to the file ``out`` (or into it, if it is a folder); several go into the
    folder ``out`` under their own stems.

    :raises InvalidInputError: if two inputs share a stem, or ``out`` is a file for several.
    """
    if len(inputs) == 1 and not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        return [out]
    if out.exists() and not out.is_dir():
        raise InvalidInputError('output', out, 'a folder, because there are several inputs')
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f'{path.stem}{suffix}' for path in inputs]
    if len(set(paths)) != len(paths):
        raise InvalidInputError('inputs', 'two of the same stem', 'names that differ')
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
