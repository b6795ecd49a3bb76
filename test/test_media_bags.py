"""Odd bags: whoever wrote them, the pictures that are there are found, and damage is told."""
from __future__ import annotations

import logging
from pathlib import Path
import struct
from typing import Any

from bag_maker import (
    COMPRESSED,
    header,
    IMAGE,
    make_bag,
    message,
    picture,
    SECOND_NS,
    STORE,
    TYPES,
)
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.bag_reader import (
    Bag,
    DamagedBagError,
    picture_topics,
    read_picture_message,
    storage_files,
)
from gsc_ros.media.sources import BagSource, open_source
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

TOPIC = '/eye/image_raw'


def pictures_in(path: Path) -> list[np.ndarray]:
    return [item.read() for item in open_source(str(path))]


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('change', ['removed', 'no storage', 'newer', 'no yaml'])
def test_metadata_do_not_matter(tmp_path: Path, storage: str, change: str) -> None:
    path = make_bag(tmp_path / 'bag', storage)
    file = path / 'metadata.yaml'
    text = file.read_text()
    if change == 'removed':
        file.unlink()
    elif change == 'no storage':
        file.write_text(text.replace('identifier: mcap', "identifier: ''").replace(
            'identifier: sqlite3', "identifier: ''"))
    else:
        file.write_text(text.replace('version: 9', 'version: 99') if change == 'newer' else ':\n-')
    assert len(pictures_in(path)) == 5
    with Bag(path) as bag:   # a whole bag: nothing is raised at the end
        assert len(list(bag.messages([TOPIC]))) == 5


def test_parts_of_a_recording_follow_in_number_order(tmp_path: Path) -> None:
    folder = tmp_path / 'drive'
    folder.mkdir()
    for part in (0, 2, 10):
        made = make_bag(tmp_path / f'p{part}', count=part + 1)
        next(made.glob('*.mcap')).rename(folder / f'drive_{part}.mcap')
    assert [p.name for p in storage_files(folder)] == [
        'drive_0.mcap', 'drive_2.mcap', 'drive_10.mcap']
    assert len(pictures_in(folder)) == 1 + 3 + 11


def test_separate_recordings_in_a_folder_are_no_bag(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        next(make_bag(tmp_path / name).glob('*.mcap')).rename(tmp_path / f'{name}.mcap')
    assert storage_files(tmp_path) == []


def test_a_missing_part_is_told(tmp_path: Path) -> None:
    path = make_bag(tmp_path / 'bag')
    file = path / 'metadata.yaml'
    file.write_text(file.read_text().replace('- bag.mcap', '- bag.mcap\n  - bag_1.mcap', 1))
    with Bag(path) as bag, pytest.raises(DamagedBagError, match=r'bag_1\.mcap is missing'):
        assert len(list(bag.messages([TOPIC]))) == 5


def record(code: int, body: bytes) -> bytes:
    return struct.pack('<BQ', code, len(body)) + body


def text(value: str) -> bytes:
    return struct.pack('<I', len(value)) + value.encode()


def hand_made(path: Path, profile: str = '', broken: bool = False) -> Path:
    """Write an MCAP file as others do: another profile, a JSON channel, no index."""
    parts = [b'\x89MCAP0\r\n', record(1, text(profile) + text('hand'))]
    for number, (topic, kind, encoding, language) in enumerate((
            (TOPIC, IMAGE, 'cdr', 'ros2msg'), ('/pose', 'Pose', 'json', 'jsonschema'),
            ('/json/image', IMAGE, 'json', 'jsonschema')), 1):
        parts += [record(3, struct.pack('<H', number) + text(kind) + text(language) + text('x')),
                  record(4, struct.pack('<HH', number, number) + text(topic) + text(encoding)
                         + struct.pack('<I', 0))]
    for i in range(4):
        for channel, data in ((1, message(IMAGE, i, picture(i))), (2, b'{}')):
            head = struct.pack('<HIQQ', channel, i, SECOND_NS + i, 0)
            parts.append(record(5, head + data))
    if broken:
        parts.insert(-4, record(6, struct.pack('<QQQI', 0, 0, 50, 0) + text('lz4')
                                + struct.pack('<Q', 5) + b'wrong'))
    path.write_bytes(b''.join((*parts, record(15, bytes(4)), record(2, bytes(20)),
                               b'\x89MCAP0\r\n')))
    return path


@pytest.mark.parametrize('profile', ['', 'ros2', 'mine'])
def test_channels_of_other_encodings_are_passed_over(tmp_path: Path, profile: str) -> None:
    file = hand_made(tmp_path / 'x.mcap', profile)
    shown = pictures_in(file)
    assert all(np.array_equal(one, picture(i)) for i, one in enumerate(shown))
    assert len(shown) == 4
    with Bag(file) as bag, pytest.raises(InvalidInputError, match='/json/image'):
        picture_topics(bag, ['/json/image'])


def test_a_damaged_chunk_costs_only_itself(tmp_path: Path) -> None:
    with Bag(hand_made(tmp_path / 'x.mcap', broken=True)) as bag:
        found = []
        with pytest.raises(DamagedBagError, match='damaged chunk'):
            found.extend(bag.messages([TOPIC]))
    assert len(found) == 4


def write(path: Path, messages: list[tuple[str, str, Any]]) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[tuple[str, str], Any] = {}
        for i, (topic, kind, data) in enumerate(messages):
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(topic, kind, typestore=STORE)
            if data is not None:
                writer.write(connections[topic, kind], SECOND_NS + i, data)
    return path


def image(encoding: str, channels: int) -> bytes:
    return bytes(STORE.serialize_cdr(TYPES[IMAGE](
        header=header(0), height=48, width=64, encoding=encoding, is_bigendian=0,
        step=64 * channels, data=np.zeros(48 * 64 * channels, np.uint8)), IMAGE))


def test_a_source_takes_a_topic_that_has_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture
                                                  ) -> None:
    path = write(tmp_path / 'bag', [
        ('/a/depth/image', IMAGE, image('16UC1', 2)), ('/b/unused/image', IMAGE, None),
        ('/c/odd/image', IMAGE, image('nv99', 1)), ('/d/image', IMAGE, image('rgb8', 3))])
    with caplog.at_level(logging.WARNING):
        source = open_source(str(path))
    assert isinstance(source, BagSource) and source.topic == '/d/image'
    for name in ('/a/depth/image', '/b/unused/image', '/c/odd/image'):
        assert any(name in r.message for r in caplog.records)
    with pytest.raises(InvalidInputError, match='distances'):
        open_source(str(path), topic='/a/depth/image')


def test_only_depth_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / 'bag', [('/depth', IMAGE, image('32FC1', 4))])
    with pytest.raises(InvalidInputError, match=r'/depth.*distances'):
        open_source(str(path))


def test_one_topic_may_have_two_types(tmp_path: Path) -> None:
    words = bytes(STORE.serialize_cdr(TYPES['std_msgs/msg/String'](data='x'),
                                      'std_msgs/msg/String'))
    path = write(tmp_path / 'bag', [
        ('/eye', IMAGE, message(IMAGE, 0, picture(0))),
        ('/eye', COMPRESSED, message(COMPRESSED, 1, picture(1))),
        ('/eye', 'std_msgs/msg/String', words), ('/eye', IMAGE, message(IMAGE, 2, picture(2)))])
    with Bag(path) as bag:
        assert [t.name for t in picture_topics(bag)] == ['/eye']
        kinds = [m.topic.kind for m in bag.messages(['/eye'])]
    assert kinds == [IMAGE, COMPRESSED, 'std_msgs/msg/String', IMAGE]
    shown = pictures_in(path)
    assert [np.array_equal(one, picture(i)) for i, one in enumerate(shown)] == [True] * 3


def test_a_copied_bag_keeps_both_types(tmp_path: Path) -> None:
    from gsc_ros.cli import main
    path = write(tmp_path / 'bag', [
        ('/eye', (IMAGE, COMPRESSED)[i % 2], message((IMAGE, COMPRESSED)[i % 2], i, picture(i)))
        for i in range(4)])
    assert main(['bag', str(path), str(tmp_path / 'out'), '--detector', 'none', '--coder',
                 'hevc']) == 0
    with Bag(tmp_path / 'out') as bag:
        for i, one in enumerate(bag.messages(['/eye'])):
            assert one.topic.kind == (IMAGE, COMPRESSED)[i % 2]
            assert np.array_equal(read_picture_message(one.data, one.topic.kind), picture(i))


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    from gsc_ros.cli import main
    path = make_bag(tmp_path / 'bag', topics=(
        (TOPIC, IMAGE), ('/base/eye/plain/image_raw', IMAGE)))
    words = ['bag', str(path), str(tmp_path / 'out'), '--detector', 'none', '--coder', 'hevc',
             '--topics', TOPIC]
    assert main(words) == 1
    assert not (tmp_path / 'out').exists()
    assert main([*words, '--prefix', 'other']) == 0


def test_an_empty_bag_is_named(tmp_path: Path) -> None:
    for count, path in ((0, tmp_path / 'none'), (1, tmp_path / 'topic')):
        write(path, [(TOPIC, IMAGE, None)] * count)
        with pytest.raises(InvalidInputError, match=path.name):
            open_source(str(path))


@pytest.mark.parametrize('path', [None, 5])
def test_what_is_no_path_is_a_typed_error(path: object) -> None:
    with pytest.raises(InvalidInputError, match='bag'), Bag(path):
        pass
    with pytest.raises(InvalidInputError, match='input'):
        open_source(path)
