"""Small rosbag2 bags for tests, made without ROS."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import sqlite3
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES: Any = STORE.types
SECOND_NS = 10 ** 9


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Give a smooth picture that differs from number to number."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / 9 + number), np.cos(y / 7 - number / 2), np.sin((x + y) / 13)]
    return np.stack([127 + 90 * p for p in planes], -1).astype(np.uint8)


def header(stamp_ns: int, frame_id: str = 'eye') -> Any:
    """Make a std_msgs/Header."""
    time = TYPES['builtin_interfaces/msg/Time'](
        sec=stamp_ns // SECOND_NS, nanosec=stamp_ns % SECOND_NS)
    return TYPES['std_msgs/msg/Header'](stamp=time, frame_id=frame_id)


def message(kind: str, stamp_ns: int, pixels: np.ndarray) -> bytes:
    """Serialize a raw or compressed picture."""
    if kind == COMPRESSED:
        data = cv2.imencode('.png', pixels[..., ::-1])[1].ravel()
        made = TYPES[kind](header=header(stamp_ns), format='png', data=data)
    else:
        height, width = pixels.shape[:2]
        made = TYPES[kind](header=header(stamp_ns), height=height, width=width, encoding='rgb8',
                           is_bigendian=0, step=3 * width, data=pixels.ravel())
    return bytes(STORE.serialize_cdr(made, kind))


def make_bag(path: Path, storage: str = 'MCAP', topics: Iterable[tuple[str, str]] = (
        ('/eye/image_raw', IMAGE),), count: int = 5, period_ns: int = SECOND_NS // 10,
        compression: str = 'NONE', size: tuple[int, int] = (48, 64)) -> Path:
    """Write ``count`` pictures a topic; header stamps lie one millisecond before the bag's."""
    with_mode = Writer(path, version=9, storage_plugin=StoragePlugin[storage])
    with_mode.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with with_mode as writer:
        connections = [(writer.add_connection(topic, kind, typestore=STORE), kind)
                       for topic, kind in topics]
        for i in range(count):
            for number, (connection, kind) in enumerate(connections):
                time_ns = SECOND_NS + i * period_ns + number
                if kind in (IMAGE, COMPRESSED):
                    data = message(kind, time_ns - 10 ** 6, picture(10 * number + i, *size))
                else:
                    data = bytes(STORE.serialize_cdr(TYPES[kind](data='hello'), kind))
                writer.write(connection, time_ns, data)
    return path


def forget_definitions(path: Path) -> None:
    """Make a sqlite3 bag like those of ROS 2 Humble: without message definitions."""
    (file,) = path.glob('*.db3')
    with sqlite3.connect(file) as connection:
        connection.execute('DELETE FROM message_definitions')
        connection.execute("UPDATE topics SET type_description_hash = ''")
    connection.close()
    metadata = path / 'metadata.yaml'
    lines = metadata.read_text().splitlines(keepends=True)
    metadata.write_text(''.join(line for line in lines if 'RIHS01' not in line))


def truncate(path: Path, share: float) -> None:
    """Cut a storage file as a full disk or a power loss does."""
    (file,) = [p for p in path.iterdir() if p.suffix in ('.mcap', '.db3')]
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * share)])
