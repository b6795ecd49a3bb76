"""The link's pre-shared key, from a file; no message ever shows a byte of it. No ROS."""
from __future__ import annotations

import base64
import binascii
from pathlib import Path
import stat

from gsc_ros.codec.errors import InvalidInputError

KEY_BYTES = 32
_MAX_FILE_BYTES = 256
_ALLOWED = f'a file with {KEY_BYTES} raw bytes, {2 * KEY_BYTES} hex digits, or base64 of them'


def load_key(path: str) -> bytes:
    """
    Read a key of KEY_BYTES bytes: raw, or hex or base64 as text.

    :raises InvalidInputError: if there is no such file, everybody may read it, or it is no key.
    """
    file = Path(path).expanduser()
    try:
        mode, data = file.stat().st_mode, _read(file)
    except OSError as error:
        raise InvalidInputError('key_file', path, f'{_ALLOWED} ({error.strerror})') from error
    if mode & stat.S_IRWXO:
        raise InvalidInputError('key_file', path, f'readable by its owner only: chmod 600 {path}')
    key = _parse(data)
    if key is None:
        raise InvalidInputError('key_file', path, _ALLOWED)
    return key


def _read(file: Path) -> bytes:
    with file.open('rb') as opened:
        return opened.read(_MAX_FILE_BYTES)


def _parse(data: bytes) -> bytes | None:
    if len(data) == KEY_BYTES:
        return data
    text = data.strip()
    for decode in (bytes.fromhex, lambda word: base64.b64decode(word, validate=True)):
        try:
            key = decode(text.decode('ascii'))
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    return None
