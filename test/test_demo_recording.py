"""The recording: what belongs together is matched by stamp, nothing waits or grows for ever."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from gsc_ros.codec.bitstream import CoderId, pack, Packet
from gsc_ros.codec.caption import encode_caption
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import encode_objects, SceneObject
from gsc_ros.demo.recording import (
    CAMERA,
    DECODED,
    EVENTS_FILE,
    Limits,
    PICTURES_FILE,
    PLAIN,
    read_lines,
    Recording,
    VIEWS,
)
from gsc_ros.media.sources import read_picture
import numpy as np
import pytest

SECOND = 10 ** 9
PERSON = SceneObject(0, 1.0, (0.25, 0.25, 0.5, 0.75))


def packet(sequence: int = 0, caption: str = 'a person') -> bytes:
    return pack(Packet(CoderId.HEVC, 64, 48, 1, 2, 3, sequence, None, encode_caption(caption),
                       encode_objects([PERSON]), bytes(100)))


def reader(level: int) -> Any:
    return lambda: np.full((48, 64, 3), level, np.uint8)


def lines(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / PICTURES_FILE)


def feed(recording: Recording, stamp: int, now: int, skip: tuple[str, ...] = ()) -> None:
    recording.camera(stamp, 9216, reader(10))
    recording.sent(stamp, packet(), now)
    recording.received(stamp, packet(), now + SECOND // 2)
    for view, level in ((PLAIN, 20), (DECODED, 30)):
        if view not in skip:
            recording.picture(view, stamp, reader(level), now + SECOND)
    for view in VIEWS:
        if f'objects {view}' not in skip:
            recording.detected(view, stamp, [PERSON])


def test_a_complete_picture_is_written_at_once(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits())
    feed(recording, 5 * SECOND, 6 * SECOND)
    recording.advance(7 * SECOND)
    (line,) = lines(tmp_path)
    assert line['caption'] == 'a person'
    assert line['objects'][0]['class_id'] == 0
    assert line['bytes'] == len(packet())
    assert line['bytes'] == sum(line[f'{p}_bytes'] for p in ('header', 'caption', 'objects',
                                                              'latent'))
    assert line['bpp'] == pytest.approx(8 * len(packet()) / (64 * 48))
    assert line['latency_s'] == pytest.approx(2.0)
    for view, level in zip(VIEWS, (10, 20, 30), strict=True):
        assert (read_picture(tmp_path / line['files'][view]) == level).all()
        assert len(line['detections'][view]) == 1
    events = [e['event'] for e in read_lines(tmp_path / EVENTS_FILE)]
    assert events == ['sent', 'received']


def test_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits(detections=False))
    recording.picture(DECODED, 5, reader(30), 9)
    recording.received(5, packet(), 8)
    recording.camera(5, 9216, reader(10))
    recording.picture(PLAIN, 5, reader(20), 9)
    recording.advance(10)
    assert set(lines(tmp_path)[0]['files']) == set(VIEWS)


def test_what_is_missing_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits(patience_ns=2 * SECOND))
    feed(recording, SECOND, 2 * SECOND, skip=(f'objects {CAMERA}',))   # decoded at 3 s
    recording.advance(4 * SECOND)
    assert not lines(tmp_path)
    recording.advance(6 * SECOND)
    (line,) = lines(tmp_path)
    assert line['detections'][CAMERA] is None
    assert len(line['detections'][PLAIN]) == 1


def test_a_plain_picture_alone_is_kept_without_latency(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits())
    feed(recording, 1, 2, skip=(DECODED,))
    recording.close()
    (line,) = lines(tmp_path)
    assert set(line['files']) == {CAMERA, PLAIN}
    assert line['latency_s'] is None


def test_a_lost_packet_leaves_no_picture(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits())
    recording.camera(1, 9216, reader(10))
    recording.sent(1, packet(), 2)
    recording.close()
    assert not lines(tmp_path)
    assert [e['event'] for e in read_lines(tmp_path / EVENTS_FILE)] == ['sent']


def test_memory_is_bounded(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits(memory_bytes=3 * 9216, pending=4))
    for stamp in range(100):
        recording.camera(stamp, 9216, reader(stamp))
    assert len(recording._ring) == 3
    for stamp in range(100, 200):
        recording.received(stamp, packet(), stamp)
        recording.picture(PLAIN, stamp, reader(1), stamp)
        recording.advance(stamp)
    assert len(recording._entries) <= 5
    recording.close()
    assert len(lines(tmp_path)) == 100


def test_a_bad_packet_is_noted_and_not_written(tmp_path: Path) -> None:
    recording = Recording(tmp_path, Limits())
    recording.received(1, b'no packet', 2)
    assert 'bad packet' in read_lines(tmp_path / EVENTS_FILE)[0]['caption']
    recording.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(InvalidInputError, match='folder'):
        Recording(tmp_path / 'file', Limits())


def test_a_half_written_line_is_not_read(tmp_path: Path) -> None:
    (tmp_path / 'x').write_text('{"a": 1}\n{"a": 2')
    assert read_lines(tmp_path / 'x') == [{'a': 1}]
    assert read_lines(tmp_path / 'absent') == []
