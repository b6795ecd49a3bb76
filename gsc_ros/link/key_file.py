"""The link's pre-shared key, from a file; no message ever shows a byte of it."""
from __future__ import annotations

import base64
import binascii
from pathlib import Path
import stat

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire.crypto import KEY_BYTES

_MAX_FILE_BYTES = 256
# 32 random bytes have so few different values with a probability below 1e-20.
_LEAST_VALUES = 12
_ALLOWED = f'a file with {KEY_BYTES} raw bytes, {2 * KEY_BYTES} hex digits, or base64 of them'
_RANDOM = f'{KEY_BYTES} random bytes: head -c {KEY_BYTES} /dev/urandom > FILE; chmod 600 FILE'


def load_key(path: str) -> bytes:
    """
    Read a key of KEY_BYTES bytes: raw, or hex or base64 as text.

    :raises InvalidInputError: if there is no such file, others than its owner may read it, it is
        another text, or one that is no random key.
    """
    file = Path(path).expanduser()
    try:
        mode, data = file.stat().st_mode, _read(file)
    except OSError as error:
        raise InvalidInputError('key_file', path, f'{_ALLOWED} ({error.strerror})') from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInputError('key_file', path, 'readable by its owner only: chmod 600 FILE')
    key = _parse(data)
    if key is None:
        raise InvalidInputError('key_file', path, _ALLOWED)
    if _is_text(key) or len(set(key)) < _LEAST_VALUES:
        raise InvalidInputError('key_file', path, _RANDOM)
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


def _is_text(key: bytes) -> bool:
    """Tell whether somebody typed it: a sentence of 32 letters, in whatever language."""
    try:
        return key.decode().isprintable()
    except UnicodeDecodeError:
        return False
