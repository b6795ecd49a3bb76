"""Pictures, objects and camera facts to ROS messages, and link messages back."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
import copy
from typing import Any

from builtin_interfaces.msg import Time
import cv2
from gsc_msgs.msg import Count, LinkStatus, Object, ObjectArray, StreamFeedback
from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.coder import check_picture
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.link.feedback import Feedback, Limits
from gsc_ros.link.session.control import Control
from gsc_ros.link.settings import LinkState
from gsc_ros.media.images import Picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:  # not among the ROS wheels
    Detection2DArray = None

DETECTION_ARRAY: Any = Detection2DArray  # None without vision_msgs


def stamp_ns(header: Header) -> int:
    """Nanoseconds of a header's stamp."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def stamp_from_ns(time_ns: int) -> Time:
    """Make a stamp; InvalidInputError for a time that has none."""
    sec, nanosec = divmod(time_ns, 10**9)
    if not -2**31 <= sec < 2**31:
        raise InvalidInputError('stamp', time_ns, '32 bits of seconds')
    return Time(sec=sec, nanosec=nanosec)


def image_from_picture(picture: Picture, header: Header) -> Image:
    """
    Make an rgb8 sensor_msgs/Image of a picture (H, W, 3) uint8 RGB, sides 16..4096.

    :param header: its stamp and frame_id become the message's.
    :raises InvalidInputError: if it is no such picture.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding='rgb8', step=3 * width)
    # Assigning an array costs 1000 times more: rclpy then checks every element.
    msg.data = picture.tobytes()
    return msg


def compressed_from_picture(picture: Picture, header: Header, quality: int = 90
                            ) -> CompressedImage:
    """
    Make a JPEG sensor_msgs/CompressedImage of a picture (H, W, 3) uint8 RGB, sides 16..4096.

    :param header: its stamp and frame_id become the message's.
    :param quality: 1..100.
    :raises InvalidInputError: if it is no such picture or the quality is out of range.
    """
    check_picture(picture)
    if not 1 <= quality <= 100:
        raise InvalidInputError('quality', quality, '1..100')
    _, data = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header, format='rgb8; jpeg compressed bgr8',
                           data=data.tobytes())


def link_status(state: LinkState, counts: Mapping[str, int], now_ns: int,
                newest_stamp_ns: int | None) -> LinkStatus:
    """Make a LinkStatus without its header."""
    return LinkStatus(
        connected=state.connected, silent=_seconds(state.silent_ns),
        bytes_per_second=state.rate, goodput=float(state.goodput), loss=float(state.loss),
        round_trip=_seconds(state.round_trip_ns), queue_bytes=state.queue_bytes,
        queue_wait=_seconds(state.queue_ns), queue_delay=_seconds(state.queue_delay_ns),
        picture_age=_seconds(None if newest_stamp_ns is None else now_ns - newest_stamp_ns),
        bytes_by_part=_counts(state.bytes_by_part), counters=_counts(counts))


def _seconds(time_ns: int | None) -> float:
    """Seconds, -1 where there is no figure."""
    return -1.0 if time_ns is None else time_ns / 1e9


def _counts(counts: Mapping[str, int]) -> list[Count]:
    return [Count(name=name, count=count) for name, count in sorted(counts.items())]


def feedback_from_message(msg: StreamFeedback) -> Feedback:
    """Take what the link says of a stream out of its message."""
    x_min, y_min, x_max, y_max = map(float, msg.roi)
    control = Control(bool(msg.paused), float(msg.rate), float(msg.quality),
                      (x_min, y_min, x_max, y_max), float(msg.priority))
    limits = Limits(control, int(msg.bytes_per_second), int(msg.overhead_bytes),
                    int(msg.fragment_bytes))
    return Feedback(tuple(map(int, msg.acknowledged)), bool(msg.refresh), limits)


def object_array(objects: Sequence[SceneObject], width: int, height: int,
                 header: Header) -> ObjectArray:
    """Make an ObjectArray with boxes in pixels of a ``width`` x ``height`` picture."""
    array = ObjectArray(header=header, width=width, height=height)
    for item in objects:
        x_min, y_min, x_max, y_max = item.box
        array.objects.append(Object(
            class_name=COCO_NAMES[item.class_id], class_id=item.class_id, score=float(item.score),
            x_min=float(x_min * width), y_min=float(y_min * height),
            x_max=float(x_max * width), y_max=float(y_max * height)))
    return array


def detection_array(objects: Sequence[SceneObject], width: int, height: int,
                    header: Header) -> Any:
    """Make a vision_msgs/Detection2DArray; only where ``DETECTION_ARRAY`` is not None."""
    array = Detection2DArray(header=header)
    for item in objects:
        x_min, y_min, x_max, y_max = item.box
        detection = Detection2D(header=header)
        detection.bbox.center.position.x = (x_min + x_max) / 2 * width
        detection.bbox.center.position.y = (y_min + y_max) / 2 * height
        detection.bbox.size_x = (x_max - x_min) * width
        detection.bbox.size_y = (y_max - y_min) * height
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id = COCO_NAMES[item.class_id]
        result.hypothesis.score = float(item.score)
        detection.results.append(result)
        array.detections.append(detection)
    return array


def scale_camera_info(info: CameraInfo, width: int, height: int, header: Header) -> CameraInfo:
    """
    Calibration of the same view at ``width`` x ``height`` pixels.

    The picture shows the region of interest where one is set, else the whole sensor; binning is
    absorbed by the scale. K, P and the region are scaled, distortion and R do not depend on size.
    With unknown calibration (``info.width`` 0) only the size is filled in. Raises
    InvalidInputError when width or height is 0.
    """
    if width <= 0 or height <= 0:
        raise InvalidInputError('camera_info size', (width, height), 'above 0')
    scaled = copy.deepcopy(info)
    scaled.header = header
    scaled.binning_x = scaled.binning_y = 0
    if not info.width or not info.height:
        scaled.width, scaled.height = width, height
        return scaled
    scale_x = width / (info.roi.width or info.width)
    scale_y = height / (info.roi.height or info.height)
    scaled.width = round(info.width * scale_x)
    scaled.height = round(info.height * scale_y)
    # Rows 0 and 1 of K (3x3) and P (3x4); P[3] and P[7] hold -f * baseline and scale too.
    for index in range(3):
        scaled.k[index] *= scale_x
        scaled.k[3 + index] *= scale_y
    for index in range(4):
        scaled.p[index] *= scale_x
        scaled.p[4 + index] *= scale_y
    scaled.roi.x_offset = round(info.roi.x_offset * scale_x)
    scaled.roi.y_offset = round(info.roi.y_offset * scale_y)
    scaled.roi.width = round(info.roi.width * scale_x)
    scaled.roi.height = round(info.roi.height * scale_y)
    return scaled
