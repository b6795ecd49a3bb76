"""
Topic names, in one place; pure string functions.

Names without a leading slash stay relative, so that a node's namespace applies to them.
"""
from __future__ import annotations

from typing import NamedTuple

from gsc_ros.codec.errors import InvalidInputError

STREAM_SUFFIX = '/gsc'
DIAGNOSTICS = '/diagnostics'  # absolute, as every ROS tool expects it


def compressed_topic(camera: str) -> str:
    """Topic of image_transport's CompressedImage for a camera's base topic."""
    return f'{camera}/compressed'


def camera_info_topic(camera: str) -> str:
    """Topic of the CameraInfo that belongs to an image topic: its sibling."""
    return sibling(camera, 'camera_info')


def stream_topic(camera: str) -> str:
    """Topic of the SemanticFrames of a camera's base topic."""
    return camera + STREAM_SUFFIX


def info_topic(stream: str) -> str:
    """Topic of the latched StreamInfo of a stream."""
    return f'{stream}/info'


def feedback_topic(stream: str) -> str:
    """Topic on which the link tells the encoder how a stream fares (StreamFeedback)."""
    return f'{stream}/feedback'


def request_topic(stream: str) -> str:
    """Topic on which the base station asks something of a stream (StreamRequest)."""
    return f'{stream}/request'


def linked_topic(prefix: str, topic: str) -> str:
    """Where a link delivers ``topic``: under ``prefix``; absolute when either is."""
    slash = '/' if prefix.startswith('/') or topic.startswith('/') else ''
    parts = [part for part in (prefix.strip('/'), topic.strip('/')) if part]
    return slash + '/'.join(parts)


def sibling(topic: str, name: str) -> str:
    """``name`` beside ``topic``: '/camera/image_raw', 'camera_info' -> '/camera/camera_info'."""
    head, slash, _ = topic.rpartition('/')
    return f'{head}{slash}{name}'


class DecodedTopics(NamedTuple):
    """Outputs of the decoder for one stream."""

    picture: str
    plain: str
    camera_info: str
    caption: str
    objects: str


def decoded_topics(stream: str) -> DecodedTopics:
    """
    Name the outputs: '/base/camera/image_raw/gsc' -> '/base/camera/decoded/image_raw', ...

    Raises InvalidInputError for a stream whose name does not end in '/gsc'.
    """
    if not stream.endswith(STREAM_SUFFIX) or stream == STREAM_SUFFIX:
        raise InvalidInputError('stream', stream, f'a topic that ends in {STREAM_SUFFIX}')
    image = stream.removesuffix(STREAM_SUFFIX)
    return DecodedTopics(*(sibling(image, name) for name in (
        'decoded/image_raw', 'plain/image_raw', 'decoded/camera_info', 'decoded/caption',
        'decoded/objects')))


class DetectedTopics(NamedTuple):
    """Outputs of the detector for one image topic."""

    detections: str
    objects: str
    overlay: str


def detected_topics(image: str) -> DetectedTopics:
    """Name the outputs beside an image topic: 'x/image_raw' -> 'x/detections', ..."""
    return DetectedTopics(*(sibling(image, name) for name in (
        'detections', 'detected_objects', 'overlay')))
