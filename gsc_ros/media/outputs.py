"""Files that are written without harm to inputs or to older outputs."""
from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import tempfile

from gsc_ros.codec.errors import InvalidInputError


def check_apart(output: Path, inputs: Sequence[Path]) -> None:
    """
    Check that an output would destroy no input.

    :raises InvalidInputError: if it is one of them, also through links.
    """
    for path in inputs:
        same = output.resolve() == path.resolve()
        if same or output.exists() and path.exists() and output.samefile(path):
            raise InvalidInputError('output', output, f'another file than the input {path}')


def write_file(path: Path, data: bytes) -> None:
    """
    Write a file beside its place and move it there: an older one is whole until then.

    What is no regular file (a pipe, /dev/null) is written to. Links stay links.

    :raises OSError: if it cannot be written; then nothing has changed.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.name[:100]}.', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
