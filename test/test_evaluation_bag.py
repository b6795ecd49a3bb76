"""Bags: every storage is read, damaged ones as far as they go, and converted ones keep stamps."""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import sys
from typing import Any

from bag_maker import COMPRESSED, forget_definitions, IMAGE, make_bag, picture, SECOND_NS, truncate
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.commands import bag as command
from gsc_ros.media import bag_types
from gsc_ros.media.bag_reader import (
    Bag,
    DamagedBagError,
    header_stamp_ns,
    Message,
    picture_topics,
    read_message,
    read_picture_message,
)
import numpy as np
import pytest

TOPIC = '/eye/image_raw'
CAMERAS = (('/left/image_raw', IMAGE), ('/left/image_raw/compressed', COMPRESSED),
           ('/right/image_raw/compressed', COMPRESSED), ('/chatter', 'std_msgs/msg/String'))


def check(path: Path) -> None:
    with Bag(path) as bag:
        messages = list(bag.messages([TOPIC]))
    assert [m.time_ns for m in messages] == [SECOND_NS + i * SECOND_NS // 10 for i in range(5)]
    for i, message in enumerate(messages):
        assert header_stamp_ns(message.data) == message.time_ns - 10 ** 6
        shown = read_picture_message(message.data, message.topic.kind)
        assert np.array_equal(shown, picture(i))


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('compression', ['NONE', 'FILE', 'MESSAGE'])
@pytest.mark.parametrize('kind', [IMAGE, COMPRESSED])
def test_every_kind_of_bag_is_read(tmp_path: Path, storage: str, compression: str, kind: str
                                   ) -> None:
    check(make_bag(tmp_path / 'bag', storage, [(TOPIC, kind)], compression=compression))


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
def test_a_storage_file_alone_is_a_bag(tmp_path: Path, storage: str) -> None:
    folder = make_bag(tmp_path / 'bag', storage)
    check(next(p for p in folder.iterdir() if p.name != 'metadata.yaml'))


def test_mcap_chunks_may_be_compressed(tmp_path: Path) -> None:
    check(make_bag(tmp_path / 'bag', 'MCAP', compression='STORAGE'))


def test_missing_definitions_do_not_matter(tmp_path: Path) -> None:
    path = make_bag(tmp_path / 'bag', 'SQLITE3')
    forget_definitions(path)
    check(path)


def test_cameras_are_told_apart(tmp_path: Path) -> None:
    with Bag(make_bag(tmp_path / 'bag', topics=CAMERAS)) as bag:
        assert [t.name for t in picture_topics(bag)] == [
            '/left/image_raw', '/right/image_raw/compressed']
        wanted = ['/left/image_raw/compressed']
        assert [t.name for t in picture_topics(bag, wanted)] == wanted
        with pytest.raises(InvalidInputError, match='/nose'):
            picture_topics(bag, ['/nose'])


def test_a_bag_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    with Bag(make_bag(tmp_path / 'bag', topics=CAMERAS[3:])) as bag, \
            pytest.raises(InvalidInputError, match=r'bag.*/chatter \(std_msgs/msg/String\)'):
        picture_topics(bag)


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('metadata', [True, False])
def test_a_cut_bag_gives_what_is_left_and_says_so(tmp_path: Path, storage: str, metadata: bool
                                                  ) -> None:
    path = make_bag(tmp_path / 'drive', storage, count=200)
    truncate(path, 0.6)
    if not metadata:
        (path / 'metadata.yaml').unlink()
        path = next(path.iterdir())
    with Bag(path) as bag:
        assert [(t.name, t.kind) for t in bag.topics] == [(TOPIC, IMAGE)]
        left: list[Message] = []
        with pytest.raises(DamagedBagError, match=r'drive.*damaged after \d+ .*(reindex|recover)'):
            left.extend(bag.messages([TOPIC]))   # keeps what came before the error
    assert 60 <= len(left) < 130
    assert all(np.array_equal(read_picture_message(m.data, IMAGE), picture(i))
               for i, m in enumerate(left[::20]) for i in [20 * i])


def test_what_is_no_bag_is_named(tmp_path: Path) -> None:
    file = tmp_path / 'notes.mcap'
    file.write_bytes(b'no bag at all')
    with pytest.raises(InvalidInputError, match=r'notes\.mcap'), Bag(file):
        pass


def test_a_damaged_message_is_refused(tmp_path: Path) -> None:
    with Bag(make_bag(tmp_path / 'bag')) as bag:
        data = next(iter(bag.messages([TOPIC]))).data
    with pytest.raises(InvalidInputError):
        read_picture_message(data[:-500], IMAGE)


def test_our_types_are_those_that_ros_generates() -> None:
    """A wrong field would make every subscriber refuse the bag's topics."""
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    files = [file for prefix in prefixes if prefix and (
        file := Path(prefix, 'share', 'gsc_msgs', 'msg', 'ObjectArray.json')).is_file()]
    if not files:
        pytest.skip('no gsc_msgs with type hashes is installed')
    hashes = json.loads(files[0].read_text())['type_hashes']
    expected = next(h['hash_string'] for h in hashes if h['type_name'] == bag_types.OBJECTS)
    assert bag_types.message_types().hash_rihs01(bag_types.OBJECTS) == expected


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(['bag', *map(str, words)]))


def stream_of(message: Any) -> tuple[int, str]:
    stamp = message.header.stamp
    return stamp.sec * SECOND_NS + stamp.nanosec, message.header.frame_id


@pytest.fixture(scope='module')
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp('convert')
    source = make_bag(folder / 'in', topics=CAMERAS, count=12, period_ns=SECOND_NS // 4,
                      size=(96, 128))
    assert run(source, folder / 'out', '--kbps', 16, '--coder', 'hevc',
               '--detector', 'embedded') == 0
    return source, folder / 'out'


@pytest.mark.slow
def test_converted_bags_hold_the_originals(converted: tuple[Path, Path]) -> None:
    names = [name for name, _ in CAMERAS]
    with Bag(converted[0]) as source, Bag(converted[1]) as target:
        old = [(m.topic.name, m.topic.kind, m.time_ns, m.data) for m in source.messages(names)]
        new = [(m.topic.name, m.topic.kind, m.time_ns, m.data) for m in target.messages(names)]
    assert new == old


@pytest.mark.slow
def test_converted_bags_hold_what_the_base_station_shows(converted: tuple[Path, Path]) -> None:
    from gsc_ros.codec.bitstream import unpack
    kinds = {'/left/image_raw/gsc': bag_types.FRAME, '/base/left/decoded/image_raw': IMAGE,
             '/base/left/plain/image_raw': IMAGE, '/base/left/decoded/objects': bag_types.OBJECTS,
             '/base/left/decoded/caption': bag_types.STRING,
             '/base/left/decoded/detected_objects': bag_types.OBJECTS,
             '/base/left/decoded/detections': bag_types.DETECTIONS}
    with Bag(converted[0]) as source:
        taken_ns = {stream_of(read_message(m.data, IMAGE)): m.time_ns
                  for m in source.messages(['/left/image_raw'])}
    with Bag(converted[1]) as target:
        assert kinds.items() <= {t.name: t.kind for t in target.topics}.items()
        for name, kind in kinds.items():
            messages = list(target.messages([name]))
            assert 3 <= len(messages) <= 12
            for message in messages:
                made = read_message(message.data, kind)
                if kind != bag_types.STRING:
                    assert message.time_ns >= taken_ns[stream_of(made)]
                if kind == bag_types.FRAME:
                    packet = unpack(bytes(made.data))
                    assert packet.width == (128 if packet.version == 1 else 0)
                if kind == IMAGE:
                    assert read_picture_message(message.data, kind).shape == (96, 128, 3)


def test_converted_bags_keep_the_link_s_ceiling(converted: tuple[Path, Path]) -> None:
    sent = []
    with Bag(converted[1]) as target:
        for message in target.messages(['/left/image_raw/gsc', '/right/image_raw/gsc']):
            size = len(read_message(message.data, bag_types.FRAME).data) + 28
            sent.append((message.time_ns, size))
    for time_ns, _ in sent:
        assert sum(s for t, s in sent if time_ns <= t < time_ns + SECOND_NS) <= 2000


def test_a_target_that_exists_is_refused(tmp_path: Path) -> None:
    source = make_bag(tmp_path / 'in')
    with pytest.raises(InvalidInputError, match='does not exist yet'):
        run(source, source, '--coder', 'hevc', '--detector', 'none')
