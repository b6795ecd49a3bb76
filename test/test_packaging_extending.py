"""The sketches of docs/EXTENDING.md work as they stand there."""
from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from gsc_ros import coders
from gsc_ros.codec.bitstream import CoderId
from gsc_ros.codec.errors import BudgetError
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.evaluation.judges.judge import Judge, JudgeSettings
from gsc_ros.evaluation.judges.registry import KINDS
from gsc_ros.evaluation.peers.registry import STILLS
from gsc_ros.evaluation.peers.stills import code_still
from gsc_ros.link.transports import open_transport, TRANSPORTS
import numpy as np
import pytest

TEXT = (Path(__file__).resolve().parents[1] / 'docs' / 'EXTENDING.md').read_text(encoding='utf-8')
PICTURE = np.full((64, 96, 3), (200, 100, 50), np.uint8)


def sketch(title: str) -> dict[str, Any]:
    """Run the Python block below a heading; its names."""
    section = TEXT.split(f'\n## {title}\n')[1].split('\n## ')[0]
    names: dict[str, Any] = {}
    exec(re.findall(r'```python\n(.*?)```', section, re.S)[0], names)
    return names


def test_a_coder(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = coders.Registered(CoderId.LEARNED, 'learned',
                             lambda device: sketch('A coder of pictures')['FlatCoder']())
    monkeypatch.setitem(coders.BY_NAME, 'learned', flat)
    monkeypatch.setitem(coders.BY_ID, CoderId.LEARNED, flat)
    encoder = SemanticEncoder('learned')
    data = encoder.encode(PICTURE, 40, caption='a wall')
    assert len(data) <= 40
    decoded = SemanticDecoder().decode(data, generate=False)
    assert (decoded.picture == PICTURE).all()
    with pytest.raises(BudgetError, match='needs 19'):
        encoder.encode(PICTURE, 10)


def test_a_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, 'brightness', sketch('A judge')['KIND'])
    monkeypatch.setattr('gsc_ros.evaluation.judges.judge.MEASURES', tuple(KINDS))
    metrics, _ = Judge(JudgeSettings(('brightness',))).judge(PICTURE, PICTURE // 2, '')
    assert metrics['brightness'] == pytest.approx(PICTURE.mean() / 2)


def test_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STILLS, 'jpeg2000', sketch('A peer')['JPEG2000'])
    found = code_still('jpeg2000', PICTURE, 400)
    assert 0 < found.payload_bytes < found.bytes <= 400
    assert np.abs(found.decoded.astype(int) - PICTURE).max() < 10


def test_a_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSPORTS, 'memory', sketch('A transport')['MemoryTransport'])
    robot, base = (open_transport(f'memory://{end}', mtu=200) for end in ('robot', 'base'))
    robot.send(b'picture')
    assert base.receive(1) == b'picture'
    base.wake()
    assert base.receive(1) is None
