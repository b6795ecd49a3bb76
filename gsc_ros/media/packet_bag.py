"""Received packets as a rosbag2 bag that ``ros2 bag play`` and rosbags read, without ROS."""
from __future__ import annotations

from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

FRAME_TYPE = 'gsc_msgs/msg/SemanticFrame'
# The fields of gsc_msgs/msg/SemanticFrame.msg, whose text an installed package does not carry.
FRAME_DEFINITION = 'std_msgs/Header header\nuint8[] data\n'
STORAGE = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}


def typestore() -> Typestore:
    """Types of ROS 2 Jazzy with ours added."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(FRAME_DEFINITION, FRAME_TYPE))
    return store


class PacketBag:
    """A bag of SemanticFrames; ``path`` must not exist."""

    def __init__(self, path: Path, topic: str, storage: str = 'mcap') -> None:
        self._writer = Writer(path, version=9, storage_plugin=STORAGE[storage])
        self._writer.open()
        self._connection = self._writer.add_connection(topic, FRAME_TYPE, typestore=typestore())
        self._open = True

    def write(self, cdr: bytes, now_ns: int) -> None:
        """Add a serialized SemanticFrame."""
        self._writer.write(self._connection, now_ns, cdr)

    def close(self) -> None:
        """Finish the files; idempotent."""
        if self._open:
            self._open = False
            self._writer.close()
