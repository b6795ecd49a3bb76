"""Weights are fetched by their own command, checked, and kept where nobody else can write."""
from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
import stat
import threading
from typing import Any

from gsc_ros.cli import main
from gsc_ros.models import network, pinned, yolo
from gsc_ros.models.pinned import fetch_weights, FetchWeightsError, PINNED, Weights
import pytest

DATA = b'weights'
MEANT = Weights('w.pt', 'https://example.invalid/w.pt', hashlib.sha256(DATA).hexdigest(), 100)


def serve(monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> list[str]:
    asked = []

    def urlopen(url: str, timeout: float) -> Any:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)
    monkeypatch.setattr(pinned.urllib.request, 'urlopen', urlopen)
    return asked


def test_the_file_that_is_meant_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch, DATA)
    for _ in range(2):
        assert fetch_weights(MEANT, tmp_path, 5.0).read_bytes() == DATA
    assert len(asked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['w.pt']


@pytest.mark.parametrize('answer', [b'other', b'x' * 1000, OSError('no route')])
def test_anything_else_is_refused_and_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> None:
    serve(monkeypatch, answer)
    with pytest.raises(FetchWeightsError, match=r'w\.pt cannot be fetched'):
        fetch_weights(MEANT, tmp_path, 5.0)
    assert not list(tmp_path.iterdir())


def test_a_wrong_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'w.pt').write_bytes(b'damaged')
    serve(monkeypatch, DATA)
    assert fetch_weights(MEANT, tmp_path, 5.0).read_bytes() == DATA


def test_a_silent_name_server_is_not_waited_for() -> None:
    silent = threading.Event()
    try:
        reason = network.failure_within(lambda: bool(silent.wait()) and None, 'https://x', 0.05)
    finally:
        silent.set()
    assert reason == 'https://x did not answer within 0.05 s'


def test_the_command_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    serve(monkeypatch, OSError('Name or service not known'))
    assert main(['fetch-detector']) == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'Name or service not known' in error and 'machine with a network' in error


def test_hashes_are_whole() -> None:
    assert all(len(bytes.fromhex(w.sha256)) == 32 and w.url.startswith('https://')
               for w in PINNED.values())


@pytest.mark.parametrize('mode', [0o777, 0o750, 0o700])
def test_a_temporary_cache_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
                                      ) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/proc/nowhere')
    monkeypatch.setattr(yolo.tempfile, 'tempdir', str(tmp_path))
    yolo._fresh_folder.cache_clear()
    shared = tmp_path / f'gsc_ros_{os.getuid()}'
    shared.mkdir()
    shared.chmod(mode)
    found = yolo.cache_folder()
    assert (found == shared) == (mode == 0o700)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert found == yolo.cache_folder()
    yolo._fresh_folder.cache_clear()


def test_a_linked_cache_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/proc/nowhere')
    monkeypatch.setattr(yolo.tempfile, 'tempdir', str(tmp_path))
    yolo._fresh_folder.cache_clear()
    (tmp_path / 'elsewhere').mkdir(mode=0o700)
    (tmp_path / f'gsc_ros_{os.getuid()}').symlink_to(tmp_path / 'elsewhere')
    assert yolo.cache_folder().resolve() != tmp_path / 'elsewhere'
    yolo._fresh_folder.cache_clear()
