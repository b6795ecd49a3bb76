"""The encoder node and the evaluation send the same packets of the same pictures."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections import deque
from collections.abc import Iterator
import os
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import StreamFeedback
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from bag_maker import picture, SECOND_NS
from gsc_ros.codec.bitstream import unpack
from gsc_ros.codec.objects import SceneObject
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.live import LiveSettings, rehearse_clip
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.media.images import image_from_picture, picture_from_image
from gsc_ros.nodes.encoder_node import EncoderNode
from rclpy.parameter import Parameter
from std_msgs.msg import Header

KBPS, FPS, RTT_S = 8.0, 10, 1.0
TIMES = [i * SECOND_NS // FPS for i in range(30)]
PICTURES = [picture(i // 4, 96, 128) for i in range(len(TIMES))]
OBJECTS = [SceneObject(2, 0.9, (0.1, 0.2, 0.5, 0.75))]


def describe(shown: np.ndarray) -> tuple[str, list[SceneObject]]:
    return 'a car', list(OBJECTS)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[EncoderNode]:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    monkeypatch.setattr('gsc_ros.scene.describe.load_describe', lambda *words: describe)
    rclpy.init(args=[], domain_id=20 + (os.getpid() + 41) % 70)
    made = EncoderNode()
    made.set_parameters([Parameter('coder', value='hevc'), Parameter('cameras', value=['image']),
                         Parameter('bytes_per_second', value=int(KBPS * 125))])
    made.trigger_configure()
    made.trigger_activate()
    yield made
    made.close()
    made.destroy_node()
    rclpy.try_shutdown()


def sent_by_node(node: EncoderNode) -> list[bytes]:
    """Turn the node's clock by hand, and speak for the link as the evaluation does."""
    assert node._worker and node._scenes and node._sender
    node._worker.stop()
    node._scenes.stop()
    sent: list[bytes] = []
    acknowledgements: deque[tuple[int, int]] = deque()
    camera, = node._cameras.values()
    clock = {'now': 0}
    node.now_ns = lambda: clock['now']

    def publish(frame: Any) -> None:
        sent.append(bytes(frame.data))
        acknowledgements.append((clock['now'] + int(RTT_S * SECOND_NS), unpack(sent[-1]).sequence))

    camera.frames.publish = publish
    for shown, start_ns, end_ns in zip(PICTURES, TIMES, [*TIMES[1:], TIMES[-1] + 1], strict=True):
        clock['now'] = start_ns
        node._on_picture(camera, image_from_picture(shown, Header()))
        while clock['now'] < end_ns:
            heard = []
            while acknowledgements and acknowledgements[0][0] <= clock['now']:
                heard.append(acknowledgements.popleft()[1])
            node._on_feedback(camera, StreamFeedback(
                acknowledged=heard, quality=1.0, roi=[0.0, 0.0, 1.0, 1.0]))
            before = len(sent)
            node._step()
            while node._scenes.look():
                pass
            if len(sent) > before:
                continue
            if node._sender.next_ns is None:
                break
            clock['now'] = max(clock['now'] + 1_000_000, node._sender.next_ns)
    return sent


def test_node_and_evaluation_send_the_same_packets(node: EncoderNode) -> None:
    live = LiveSettings(rtt_s=RTT_S)
    ours = OurCodecs({'auto': SemanticEncoder('hevc')}, SemanticDecoder(), describe)
    codec = parse_codec('gsc-plain')
    assert codec is not None
    rehearsed = [one.outgoing.data for one in
                 rehearse_clip(ours, [codec], PICTURES, TIMES, KBPS, live)]
    sent = sent_by_node(node)
    assert len(sent) >= 5
    assert any(unpack(data).reference is not None for data in sent)
    assert any(unpack(data).objects for data in sent)
    assert sent == rehearsed
    assert picture_from_image(image_from_picture(PICTURES[0], Header())).shape == (96, 128, 3)
