"""A bag as the demo's recorder writes it, from made-up pictures."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gsc_ros.codec.bitstream import CoderId, pack, Packet
from gsc_ros.codec.caption import encode_caption
from gsc_ros.codec.objects import encode_objects, SceneObject
from gsc_ros.demo.recording import (
    BAG_FOLDER,
    CAMERA,
    DECODED,
    DIAGNOSTIC_ARRAY,
    DIAGNOSTICS,
    OBJECTS_ON,
    PLAIN,
    RECEIVED,
    recorded_topics,
    SENT,
)
from gsc_ros.media import bag_types
from gsc_ros.media.message_bag import MessageBag
import numpy as np

SECOND = 10 ** 9
WIDTH, HEIGHT = 98, 66
SEEN = SceneObject(2, 1.0, (0.1, 0.1, 0.5, 0.5))
INVENTED = SceneObject(7, 1.0, (0.6, 0.6, 0.9, 0.9))
TOPICS = recorded_topics('camera/image_raw', False, 'base', 'recorder/camera/image_raw')


def packet(sequence: int = 0, caption: str = 'a car', **changes: Any) -> bytes:
    """Make a packet of 120 bytes of latent."""
    values: dict[str, Any] = {
        'coder': CoderId.HEVC, 'width': WIDTH, 'height': HEIGHT, 'fingerprint': 1, 'quality': 2,
        'seed': 3, 'sequence': sequence, 'reference': None, 'caption': encode_caption(caption),
        'objects': encode_objects([SEEN]), 'latent': bytes(120)}
    return pack(Packet(**(values | changes)))


class DemoBag:
    """Writes messages of a run by what they show; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Make the bag in ``folder``."""
        self._types = bag_types.message_types().types
        self._bag = MessageBag(folder / BAG_FOLDER, [
            (f'/{topic}'.replace('//', '/'), kind) for topic, kind in TOPICS.values()])

    def __enter__(self) -> DemoBag:
        return self

    def __exit__(self, *_: object) -> None:
        self._bag.close()

    def write(self, role: str, data: bytes, time_ns: int) -> None:
        """Add a serialized message."""
        topic, _ = TOPICS[role]
        self._bag.write(f'/{topic}'.replace('//', '/'), data, time_ns)

    def header(self, stamp_ns: int) -> Any:
        """Make a header."""
        sec, nanosec = divmod(stamp_ns, SECOND)
        return self._types['std_msgs/msg/Header'](
            stamp=self._types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
            frame_id='eye')

    def packet(self, role: str, stamp_ns: int, data: bytes, time_ns: int) -> None:
        """Add a packet that was sent or received."""
        self.write(role, bag_types.frame(self.header(stamp_ns), data), time_ns)

    def picture(self, view: str, stamp_ns: int, level: int, time_ns: int) -> None:
        """Add an even picture."""
        pixels = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        self.write(view, bag_types.image(self.header(stamp_ns), pixels), time_ns)

    def objects(self, view: str, stamp_ns: int, found: Sequence[SceneObject], time_ns: int
                ) -> None:
        """Add detections on a view."""
        self.write(OBJECTS_ON[view], bag_types.object_array(
            self.header(stamp_ns), found, WIDTH, HEIGHT), time_ns)

    def figure(self, name: str, value: float, time_ns: int) -> None:
        """Add a diagnostic."""
        types = self._types
        pair = types['diagnostic_msgs/msg/KeyValue'](key=name, value=f'{value}')
        status = types['diagnostic_msgs/msg/DiagnosticStatus'](
            level=0, name='x', message='', hardware_id='', values=[pair])
        self.write(DIAGNOSTICS, bag_types.serialize(types[DIAGNOSTIC_ARRAY](
            header=self.header(time_ns), status=[status]), DIAGNOSTIC_ARRAY), time_ns)

    def whole(self, stamp_ns: int, data: bytes, level: int) -> None:
        """Add everything of one picture, decoded a second after its stamp."""
        # the link carries stamps in units of 0.1 ms
        linked_ns = stamp_ns // 100_000 * 100_000
        self.picture(CAMERA, stamp_ns, level, stamp_ns + SECOND // 4)
        self.packet(SENT, stamp_ns, data, stamp_ns + SECOND // 4)
        self.packet(RECEIVED, linked_ns, data, stamp_ns + SECOND // 2)
        for view in (PLAIN, DECODED):
            self.picture(view, linked_ns, level, stamp_ns + SECOND)
        self.objects(CAMERA, stamp_ns, [SEEN], stamp_ns + SECOND)
        self.objects(PLAIN, linked_ns, [], stamp_ns + SECOND)
        self.objects(DECODED, linked_ns, [SEEN, INVENTED], stamp_ns + SECOND)
