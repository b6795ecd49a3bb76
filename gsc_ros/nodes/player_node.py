"""Plays a video, a folder of pictures or a bag as if it were a camera."""
from __future__ import annotations

import threading
import time
from typing import Any, NoReturn

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.images import shrink_to_width
from gsc_ros.media.sources import (
    DEFAULT_FOLDER_RATE,
    open_source,
    Pace,
    PictureSource,
    thin,
    TimedPicture,
)
from gsc_ros.nodes.diagnostics import Counters
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.messages import compressed_from_picture, image_from_picture, scale_camera_info
from gsc_ros.nodes.process import run_process
from gsc_ros.nodes.qos import output_qos
from gsc_ros.parameters import topics
from gsc_ros.parameters.player import PLAYER
from gsc_ros.units import SECOND_NS
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

QUEUE = 20   # kept for reliable subscribers that are busy
LOOK_S = 0.1
LATE_NS = 200_000_000   # a picture later than this is left out: a camera does not wait


class PlayerNode(GscNode):
    """Publishes pictures at the times that their source has, stamped with the time of sending."""

    def __init__(self) -> None:
        """Make the node; nothing is opened before configure."""
        super().__init__('gsc_player', PLAYER)
        self._source: PictureSource | None = None
        self._pictures: Publisher | None = None
        self._infos: Publisher | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._timer: Timer | None = None
        self._played = 0
        self._counters = Counters('player', ('published', 'late'), rates=('published',),
                                  faults=('bad_pictures',))

    def setup(self) -> None:
        """Open the input, so that a wrong one fails configure; make the publishers."""
        values = self.parameters
        if not values['input']:
            raise InvalidInputError('input', repr(''), 'a video file, folder of pictures or bag')
        self._source = open_source(values['input'], values['rate'] or DEFAULT_FOLDER_RATE,
                                   values['bag_topic'])
        topic = values['topic']
        kind, name = (CompressedImage, topics.compressed_topic(topic)) if values['compressed'] \
            else (Image, topic)
        self._pictures = self.advertise(kind, name, output_qos(QUEUE))
        self._infos = self.advertise(CameraInfo, topics.camera_info_topic(topic), output_qos())

    def start(self) -> None:
        """Start to play from the beginning."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name='play', daemon=True)
        self._thread.start()
        # The end is acted on where the executor runs, which it may not do yet.
        self._timer = self.create_timer(LOOK_S, self._end_if_played)

    def stop(self) -> None:
        """Stop playing."""
        self._stopping.set()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._thread:
            self._thread.join(4.0)
            self._thread = None

    def teardown(self) -> None:
        """Drop the source."""
        self._source = self._pictures = self._infos = None

    def summary(self) -> str:
        """Name the input and the topic."""
        return f'{self.parameters["input"]} -> {self.parameters["topic"]}'

    def counters(self) -> list[Counters]:
        """Count what was published."""
        return [self._counters]

    def _run(self) -> None:
        """Play until stopped or to the end; a bad picture is left out and named."""
        try:
            while self._play_once() and self.parameters['loop']:
                pass
        except Exception as error:
            self.failed = True
            self.report('play', error)

    def _end_if_played(self) -> None:
        """End the node when there is no more to play."""
        if self._thread and not self._thread.is_alive() and not self._stopping.is_set():
            self.get_logger().info('playing has ended')
            try_shutdown()

    def _play_once(self) -> bool:
        """
        Play the source from its start; false when stopped.

        :raises InvalidInputError: if nothing could be played, or, without ``loop``, if the source
            is damaged; after the last readable picture.
        """
        assert self._source is not None
        before, pace = self._played, Pace(self.parameters['rate'] or DEFAULT_FOLDER_RATE)
        try:
            for item in thin(self._source, self.parameters['rate']):
                due_ns = pace.due_ns(item.time_ns)
                if not self._wait(due_ns):
                    return False
                self._offer(item, time.monotonic_ns() - due_ns)
        except InvalidInputError as error:   # about the rest of the source
            if not self.parameters['loop'] or self._played == before:
                raise
            self.report('input', error)
        if self._played == before:
            raise InvalidInputError('input', self.parameters['input'],
                                    'a source with at least one readable picture')
        # A repetition must not let two pictures follow each other at once.
        return self._wait(pace.end_ns())

    def _wait(self, due_ns: int) -> bool:
        """Wait for a moment of the monotonic clock; false when stopped."""
        return not self._stopping.wait(max(0.0, (due_ns - time.monotonic_ns()) / SECOND_NS))

    def _offer(self, item: TimedPicture, late_ns: int) -> None:
        if late_ns > LATE_NS:
            self._counters.add('late')
            self._played += 1   # readable or not: a slow machine does not end the node
            return
        try:
            self._publish(item)
        except InvalidInputError as error:
            self._counters.add('bad_pictures')
            self.report('picture left out', error)
        else:
            self._played += 1

    def _publish(self, item: TimedPicture) -> None:
        assert self._pictures is not None
        assert self._infos is not None
        picture = shrink_to_width(item.read(), self.parameters['max_width'])
        header = Header(stamp=self.get_clock().now().to_msg(),
                        frame_id=self.parameters['frame_id'])
        make: Any = compressed_from_picture if self.parameters['compressed'] \
            else image_from_picture
        height, width = picture.shape[:2]
        self._infos.publish(scale_camera_info(self._calibration(), width, height, header))
        self._pictures.publish(make(picture, header))
        self._counters.add('published')

    def _calibration(self) -> CameraInfo:
        info = CameraInfo()
        known = self._source.calibration if self._source else None
        if known is not None:
            info.width, info.height = int(known.width), int(known.height)
            info.distortion_model = str(known.distortion_model)
            for name in ('d', 'k', 'r', 'p'):
                setattr(info, name, [float(value) for value in getattr(known, name)])
            info.binning_x, info.binning_y = int(known.binning_x), int(known.binning_y)
            for name in ('x_offset', 'y_offset', 'width', 'height'):
                setattr(info.roi, name, int(getattr(known.roi, name)))
            info.roi.do_rectify = bool(known.roi.do_rectify)
        return info


def main() -> NoReturn:
    """Run the node until the input ends or it is told to stop; 1 if the input fails."""
    run_process(PlayerNode)


if __name__ == '__main__':
    main()
