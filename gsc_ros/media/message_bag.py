"""Messages as they come, in a rosbag2 bag that ``ros2 bag play`` and rosbags read."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.bag_types import message_types
from gsc_ros.media.packet_bag import STORAGE


class MessageBag:
    """A bag that takes serialized messages."""

    def __init__(self, path: Path, topics: Iterable[tuple[str, str]], storage: str = 'mcap'
                 ) -> None:
        """
        Make a bag for topics with their types.

        :raises InvalidInputError: if the path exists or its folder cannot be made.
        """
        from rosbags.rosbag2 import Writer
        from rosbags.rosbag2.errors import WriterError
        try:
            self._writer = Writer(path, version=9, storage_plugin=STORAGE[storage])
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise InvalidInputError('bag', path, f'a folder that can be made ({error})') from error
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=message_types())
            for topic, kind in topics}

    def write(self, topic: str, cdr: bytes, now_ns: int) -> None:
        """Add a message; after ``close`` it is dropped."""
        if self._connections:
            self._writer.write(self._connections[topic], now_ns, cdr)

    def close(self) -> None:
        """Finish the files; idempotent."""
        if self._connections:
            self._connections = {}
            self._writer.close()
