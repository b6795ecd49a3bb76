"""Sources: videos, folders and bags give the same kind of timed pictures, or say what is wrong."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.sources import BagSource, FolderSource, open_source, thin, VideoSource
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')


def picture(level: int) -> np.ndarray:
    return np.full((48, 64, 3), (level, 255 - level, 30), np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'clip.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(picture(10 * i), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_bag(path: Path, storage: str, compressed: bool) -> Path:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import get_typestore, Stores
    store = get_typestore(Stores.ROS2_JAZZY)
    types: Any = store.types
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=0, nanosec=0), frame_id='eye')
    kind = 'sensor_msgs/msg/CompressedImage' if compressed else 'sensor_msgs/msg/Image'
    topic = '/eye/image_raw' + '/compressed' * compressed
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage]) as writer:
        connection = writer.add_connection(topic, kind, typestore=store)
        for i in range(5):
            if compressed:
                data = cv2.imencode('.png', picture(50 * i)[..., ::-1])[1].ravel()
                message = types[kind](header=header, format='png', data=data)
            else:
                message = types[kind](header=header, height=48, width=64, encoding='rgb8',
                                      is_bigendian=0, step=192, data=picture(50 * i).ravel())
            writer.write(connection, 10 ** 9 + i * 10 ** 8, store.serialize_cdr(message, kind))
    return path


def test_video(video: Path) -> None:
    source = open_source(str(video))
    assert isinstance(source, VideoSource)
    items = list(source)
    assert [round(i.time_ns / 1e8) for i in items] == list(range(20))
    shown = items[10].read()
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - picture(100)).mean() < 6
    assert len(list(source)) == 20   # it can be played again


@pytest.mark.parametrize('storage', ['SQLITE3', 'MCAP'])
@pytest.mark.parametrize('compressed', [False, True])
def test_bag(tmp_path: Path, storage: str, compressed: bool) -> None:
    source = open_source(str(write_bag(tmp_path / 'bag', storage, compressed)))
    assert isinstance(source, BagSource)
    shown = [(item.time_ns, item.read()) for item in source]
    assert [t for t, _ in shown] == [i * 10 ** 8 for i in range(5)]
    assert all((p == picture(50 * i)).all() for i, (_, p) in enumerate(shown))


def test_bag_topic_must_be_there(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', 'MCAP', False)
    assert open_source(str(bag), topic='/eye/image_raw').name == 'bag'
    with pytest.raises(InvalidInputError, match='/eye/image_raw'):
        open_source(str(bag), topic='/ear')


def test_folder_and_single_picture(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f'{i}.png'), picture(50 * i)[..., ::-1])
    (tmp_path / 'notes.txt').write_text('no picture')
    source = open_source(str(tmp_path), rate=4)
    assert isinstance(source, FolderSource)
    items = list(source)
    assert [i.time_ns for i in items] == [0, 250_000_000, 500_000_000]
    assert (items[1].read() == picture(50)).all()
    assert len(list(open_source(str(tmp_path / '2.png')))) == 1


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'clip.mp4').write_bytes(b'no video at all')
    (tmp_path / 'bag.mcap').write_bytes(b'no bag at all')
    for name in ('absent.mp4', 'empty', 'clip.mp4', 'bag.mcap'):
        with pytest.raises(InvalidInputError, match=name):
            open_source(str(tmp_path / name))
    (tmp_path / 'empty' / 'bad.png').write_bytes(b'not a png')
    with pytest.raises(InvalidInputError, match=r'bad\.png'):
        next(iter(open_source(str(tmp_path / 'empty')))).read()


def test_thinning_keeps_the_pace(video: Path) -> None:
    source = open_source(str(video))
    assert len(list(thin(source, 0))) == 20
    assert [round(i.time_ns / 1e8) for i in thin(source, 5)] == list(range(0, 20, 2))
    assert len(list(thin(source, 100))) == 20
    assert len(list(thin(source, 4))) in (7, 8)
