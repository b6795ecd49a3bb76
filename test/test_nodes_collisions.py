"""Cameras whose results would come out on one topic are refused by name."""
from __future__ import annotations

from collections.abc import Iterator
import os
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters import topics
from gsc_ros.parameters.common import check_apart
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('gsc_msgs')


def test_both_names_the_shared_topic_and_the_cure():
    """The message says all that is needed to mend it."""
    cameras = ['/stereo/left_image', '/stereo/right_image']
    with pytest.raises(InvalidInputError) as caught:
        check_apart('cameras', {
            camera: topics.decoded_topics(topics.stream_topic(camera)) for camera in cameras})
    for words in (*cameras, '/stereo/decoded/image_raw', '/stereo/left_image/image_raw'):
        assert words in str(caught.value)


@pytest.fixture
def domain(monkeypatch, tmp_path) -> Iterator[int]:
    """Keep the nodes to themselves."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    yield 20 + (os.getpid() + 67) % 70
    rclpy.try_shutdown()


def make(kind: str) -> Any:
    """Make a node."""
    from gsc_ros.nodes.decoder_node import DecoderNode
    from gsc_ros.nodes.detector_node import DetectorNode
    from gsc_ros.nodes.encoder_node import EncoderNode

    return {'encoder': EncoderNode, 'decoder': DecoderNode, 'detector': DetectorNode}[kind]()


@pytest.mark.parametrize(('kind', 'name', 'colliding', 'apart'), [
    ('encoder', 'cameras', ['/stereo/left_image', '/stereo/right_image'],
     ['/stereo/left/image', '/stereo/right/image']),
    ('encoder', 'cameras', ['cam0', 'cam1'], ['cam0/image', 'cam1/image']),
    ('encoder', 'cameras', ['x/a', '/x/b'], ['x/a', '/y/b']),
    ('decoder', 'streams', ['base/x/left/gsc', 'base/x/right/gsc'],
     ['base/x/left/i/gsc', 'base/x/right/i/gsc']),
    ('detector', 'images', ['x/a', 'y/image', 'x/b'], ['x/a', 'y/image', 'z/a'])])
def test_a_collision_fails_configure_until_it_is_mended(domain, capfd, kind, name, colliding,
                                                        apart):
    """Relative and absolute names of one topic too."""
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    rclpy.init(args=['--ros-args', '-p', 'coder:=hevc', '-p', 'detector:=none', '-p',
                     'caption_source:=none', '-p', 'generate:=never'], domain_id=domain)
    node = make(kind)
    node.set_parameters([Parameter(name, value=colliding)])
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert all(topic in said for topic in (colliding[0], colliding[-1]))
    if kind != 'detector':  # which has no "none" to load
        node.set_parameters([Parameter(name, value=apart)])
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    node.close()
    node.destroy_node()
