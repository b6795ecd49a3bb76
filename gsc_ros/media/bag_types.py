"""Message types for bags without a ROS install: those of Jazzy, ours, and Detection2DArray."""
from __future__ import annotations

from collections.abc import Sequence
import functools
from typing import Any

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.objects import SceneObject
import numpy as np

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
STRING = 'std_msgs/msg/String'
FRAME, OBJECTS = 'gsc_msgs/msg/SemanticFrame', 'gsc_msgs/msg/ObjectArray'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
# Fields only: an installed package carries no .msg files, and vision_msgs may not be installed.
_DEFINITIONS = {
    'gsc_msgs/msg/Object': 'string class_name\nuint8 class_id\nfloat32 score\nfloat32 x_min\n'
                           'float32 y_min\nfloat32 x_max\nfloat32 y_max\n',
    OBJECTS: 'std_msgs/Header header\nuint32 width\nuint32 height\nObject[] objects\n',
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/msg/Pose2D': 'Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/BoundingBox2D': 'Pose2D center\nfloat64 size_x\nfloat64 size_y\n',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/msg/ObjectHypothesisWithPose': 'ObjectHypothesis hypothesis\n'
                                                'geometry_msgs/PoseWithCovariance pose\n',
    'vision_msgs/msg/Detection2D': 'std_msgs/Header header\nObjectHypothesisWithPose[] results\n'
                                   'BoundingBox2D bbox\nstring id\n',
    DETECTIONS: 'std_msgs/Header header\nDetection2D[] detections\n'}


@functools.cache
def message_types() -> Any:
    """Return the rosbags type store of all of them."""
    from gsc_ros.media.packet_bag import typestore
    from rosbags.typesys import get_types_from_msg
    store = typestore()
    for kind, text in _DEFINITIONS.items():
        store.register(get_types_from_msg(text, kind))
    return store


def serialize(message: Any, kind: str) -> bytes:
    """CDR bytes of a message."""
    return bytes(message_types().serialize_cdr(message, kind))


def frame(header: Any, data: bytes) -> bytes:
    """Make a SemanticFrame."""
    return serialize(message_types().types[FRAME](header=header, data=_bytes(data)), FRAME)


def image(header: Any, picture: np.ndarray) -> bytes:
    """Make an rgb8 Image of a picture (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    return serialize(message_types().types[IMAGE](
        header=header, height=height, width=width, encoding='rgb8', is_bigendian=0,
        step=3 * width, data=picture.ravel()), IMAGE)


def string(text: str) -> bytes:
    """Make a std_msgs/String."""
    return serialize(message_types().types[STRING](data=text), STRING)


def object_array(header: Any, objects: Sequence[SceneObject], width: int, height: int) -> bytes:
    """Make an ObjectArray, boxes in pixels of a ``width`` x ``height`` picture."""
    types = message_types().types
    items = [types['gsc_msgs/msg/Object'](
        class_name=COCO_NAMES[o.class_id], class_id=o.class_id, score=o.score,
        x_min=o.box[0] * width, y_min=o.box[1] * height, x_max=o.box[2] * width,
        y_max=o.box[3] * height) for o in objects]
    return serialize(types[OBJECTS](header=header, width=width, height=height, objects=items),
                     OBJECTS)


def detection_array(header: Any, objects: Sequence[SceneObject], width: int, height: int
                    ) -> bytes:
    """Make a vision_msgs/Detection2DArray, boxes in pixels."""
    types = message_types().types
    items = [types['vision_msgs/msg/Detection2D'](
        header=header, results=[_hypothesis(o)], bbox=_bounding_box(o, width, height), id='')
        for o in objects]
    return serialize(types[DETECTIONS](header=header, detections=items), DETECTIONS)


def _bounding_box(item: SceneObject, width: int, height: int) -> Any:
    types = message_types().types
    x0, y0, x1, y1 = item.box
    centre = types['vision_msgs/msg/Point2D'](x=(x0 + x1) / 2 * width, y=(y0 + y1) / 2 * height)
    return types['vision_msgs/msg/BoundingBox2D'](
        center=types['vision_msgs/msg/Pose2D'](position=centre, theta=0.0),
        size_x=(x1 - x0) * width, size_y=(y1 - y0) * height)


def _hypothesis(item: SceneObject) -> Any:
    types = message_types().types
    pose = types['geometry_msgs/msg/PoseWithCovariance'](
        pose=types['geometry_msgs/msg/Pose'](
            position=types['geometry_msgs/msg/Point'](x=0.0, y=0.0, z=0.0),
            orientation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0)),
        covariance=np.zeros(36))
    return types['vision_msgs/msg/ObjectHypothesisWithPose'](
        hypothesis=types['vision_msgs/msg/ObjectHypothesis'](
            class_id=COCO_NAMES[item.class_id], score=item.score), pose=pose)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
