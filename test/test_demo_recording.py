"""What the recorder keeps of a run, and what is read from its bag: matched by stamp."""
from __future__ import annotations

from pathlib import Path
import shutil

from demo_bag import DemoBag, packet, SECOND, SEEN, TOPICS
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.demo.reading import read_run, Run
from gsc_ros.demo.recording import (
    BAG_FOLDER,
    CAMERA,
    CameraRing,
    DECODED,
    PLAIN,
    Progress,
    ProgressNotes,
    RECEIVED,
    SENT,
    VIEWS,
)
from gsc_ros.media.message_bag import MessageBag
from gsc_ros.media.sources import read_picture
import pytest

STAMP = 5 * SECOND + 123_456_789


def read(folder: Path) -> Run:
    """Read the bag of a folder."""
    return read_run(folder / BAG_FOLDER, TOPICS, folder)


def test_a_picture_with_everything(tmp_path: Path) -> None:
    """Packet, times, views and detections of one stamp come together."""
    data = packet(7)
    with DemoBag(tmp_path) as bag:
        bag.whole(STAMP, data, 20)
    run = read(tmp_path)
    (line,) = run.pictures
    assert (line['sequence'], line['caption']) == (7, 'a car')
    assert line['objects'][0]['class_id'] == SEEN.class_id
    assert line['bytes'] == len(data) == sum(
        line[f'{part}_bytes'] for part in ('header', 'caption', 'objects', 'latent'))
    assert line['bpp'] == pytest.approx(8 * len(data) / (98 * 66))
    assert line['latency_s'] == pytest.approx(1.0, abs=1e-3)
    for view in VIEWS:
        assert (read_picture(tmp_path / line['files'][view]) == 20).all()
    assert [len(line['detections'][view]) for view in VIEWS] == [1, 0, 2]
    assert [p.size for p in run.sent] == [p.size for p in run.received] == [len(data)]
    assert run.received[0].time_ns - run.sent[0].time_ns == SECOND // 4


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """No detections are not "none found"; without a shown picture there is no latency."""
    with DemoBag(tmp_path) as bag:
        bag.packet(RECEIVED, STAMP, packet(), STAMP)
        bag.picture(PLAIN, STAMP, 20, STAMP)
    (line,) = read(tmp_path).pictures
    assert set(line['files']) == {PLAIN}
    assert line['detections'] == dict.fromkeys(VIEWS)
    assert line['latency_s'] is None


def test_pictures_are_those_that_were_received_and_decoded(tmp_path: Path) -> None:
    """A lost packet and one that nobody can read leave none, but are counted."""
    with DemoBag(tmp_path) as bag:
        bag.picture(CAMERA, STAMP, 1, STAMP)
        bag.packet(SENT, STAMP, packet(), STAMP)
        bag.packet(RECEIVED, 2 * STAMP, b'no packet', STAMP)
        bag.picture(DECODED, 2 * STAMP, 1, STAMP)
        bag.packet(RECEIVED, 3 * STAMP, packet(9), STAMP)
        bag.picture(DECODED, 3 * STAMP, 30, STAMP)
    run = read(tmp_path)
    (line,) = run.pictures
    assert (line['sequence'], line['index']) == (9, 0)
    assert (read_picture(tmp_path / line['files'][DECODED]) == 30).all()
    assert (len(run.sent), len(run.received)) == (1, 2)


def test_text_that_repeats_is_that_of_the_picture_referred_to(tmp_path: Path) -> None:
    """Through several packets, and over the wrap of the sequence numbers."""
    same = {'reference': 1, 'caption': b'', 'objects': b'', 'text_repeats': True}
    with DemoBag(tmp_path) as bag:
        bag.whole(STAMP, packet(65535, 'a bus'), 10)
        bag.whole(STAMP + SECOND, packet(0, **same), 20)
        bag.whole(STAMP + 2 * SECOND, packet(1, **same), 30)
    lines = read(tmp_path).pictures
    assert [line['caption'] for line in lines] == ['a bus'] * 3
    assert [len(line['objects']) for line in lines] == [1] * 3
    assert [line['caption_bytes'] > 0 for line in lines] == [True, False, False]
    assert [line['predicted'] for line in lines] == [False, True, True]


def test_a_bag_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """A recorder that was killed leaves no metadata, and half of a file."""
    with DemoBag(tmp_path) as bag:
        for number in range(40):
            bag.whole(STAMP + number * SECOND, packet(number), number)
    (tmp_path / BAG_FOLDER / 'metadata.yaml').unlink()
    (file,) = (tmp_path / BAG_FOLDER).iterdir()
    with file.open('r+b') as storage:
        storage.truncate(file.stat().st_size * 3 // 4)
    assert 10 < len(read(tmp_path).pictures) < 40
    shutil.rmtree(tmp_path / BAG_FOLDER)
    with pytest.raises(InvalidInputError, match='bag'):
        read(tmp_path)


def test_a_bag_is_not_written_over(tmp_path: Path) -> None:
    """Neither a folder that is there nor one that cannot be made."""
    (tmp_path / 'file').write_text('')
    for path in (tmp_path, tmp_path / 'file' / 'bag'):
        with pytest.raises(InvalidInputError, match='bag'):
            MessageBag(path, [])


def test_camera_pictures_are_kept_within_bounds() -> None:
    """The oldest go; one that comes after its packet is still written."""
    ring = CameraRing(300)
    for key in range(10):
        assert not ring.keep(key, bytes(100))
    assert ring.ask(9) == bytes(100)
    assert ring.ask(6) is None
    assert ring.ask(10) is None
    assert ring.keep(10, b'late')
    ring.keep(11, bytes(1000))
    assert ring.ask(10) is None
    assert ring.ask(11) == bytes(1000)  # one is kept, however large
    same = CameraRing(300)
    for _ in range(9):
        same.keep(1, bytes(100))
    same.keep(2, bytes(200))
    assert same.ask(1) == bytes(100)


def test_progress_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Counts, the rate of the last five seconds, the caption; whether the newest is decoded."""
    assert Progress.read(tmp_path) == Progress()
    notes = ProgressNotes(tmp_path)
    data = packet(0, 'a bus')
    for number in range(10):
        notes.sent()
        notes.received(number, data, number * SECOND)
    notes.received(10, b'nonsense', 9 * SECOND)
    notes.decoded(9)
    notes.write(10 * SECOND)
    progress = Progress.read(tmp_path)
    assert (progress.sent, progress.received, progress.decoded) == (10, 11, 1)
    assert progress.kbps == pytest.approx((4 * len(data) + 8) * 8 / 5000)
    assert 'bad packet' in progress.caption
    assert not progress.up_to_date
    notes.decoded(10)
    notes.write(10 * SECOND)
    assert Progress.read(tmp_path).up_to_date
    assert [path.name for path in tmp_path.iterdir()] == ['progress.json']
