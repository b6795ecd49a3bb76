"""Packets in bags: their type without a ROS install, and the storages of rosbag2."""
from __future__ import annotations

from rosbags.rosbag2 import StoragePlugin
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
