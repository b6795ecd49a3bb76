"""Key files: who may read them, and what is no key."""
from __future__ import annotations

import base64
import hashlib
from pathlib import Path
import random

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.key_file import load_key
import pytest

KEY = hashlib.sha256(b'a key for tests').digest()


def written(folder: Path, content: bytes, mode: int = 0o600) -> str:
    file = folder / 'link.key'
    file.write_bytes(content)
    file.chmod(mode)
    return str(file)


@pytest.mark.parametrize('mode', [0o600, 0o400, 0o700])
def test_a_key_of_the_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert load_key(written(tmp_path, KEY, mode)) == KEY


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o620, 0o610, 0o660, 0o644, 0o666, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidInputError, match='readable by its owner only: chmod 600'):
        load_key(written(tmp_path, KEY, mode))


@pytest.mark.parametrize('content', [
    b'correct horse battery staple 32!', b'0123456789abcdef0123456789abcdef',
    'schlüssel für die strecke, geh'.encode(), b'x' * 32, b'\n'.rjust(32, b'p'),
    b'my secret pass phrase', base64.b64encode(b'correct horse battery staple 32!'),
    b'correct horse battery staple 32!'.hex().encode()])
def test_text_is_no_key(tmp_path: Path, content: bytes) -> None:
    """Neither as it is nor in hex or base64."""
    with pytest.raises(InvalidInputError, match='key_file'):
        load_key(written(tmp_path, content))


@pytest.mark.parametrize('content', [
    bytes(32), b'\xff' * 32, b'\x80\x81' * 16, bytes(range(8)) * 4, b'00' * 32,
    b'ff' * 32 + b'\n', base64.b64encode(bytes(32)), b'deadbeef' * 8])
def test_constant_and_repeating_bytes_are_no_key(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInputError, match='32 random bytes: head -c 32 /dev/urandom'):
        load_key(written(tmp_path, content))


def test_random_keys_are_taken(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(300):
        key = chance.randbytes(32)
        for content in (key, key.hex().encode(), base64.b64encode(key) + b'\n'):
            assert load_key(written(tmp_path, content)) == key
