"""The encoder node and the evaluation send the same packets of the same pictures."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

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
from gsc_ros.evaluation import live
from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.live import LiveSettings, rehearse_clip
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.link.feedback import Feedback
from gsc_ros.nodes.encoder_node import EncoderNode
from gsc_ros.nodes.messages import image_from_picture
from gsc_ros.sender import Sender
from rclpy.parameter import Parameter
from std_msgs.msg import Header

KBPS, FPS = 8.0, 10
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


class Tape(Sender[Any]):
    """A sender that writes down what it is told, and when it is asked."""

    events: list[tuple[str, Any, int]] = []

    def offer(self, camera: str, frame: Any, now_ns: int) -> None:
        self.events.append(('offer', frame.tag, now_ns))
        super().offer(camera, frame, now_ns)

    def tell(self, camera: str, feedback: Feedback, now_ns: int) -> None:
        self.events.append(('tell', feedback, now_ns))
        super().tell(camera, feedback, now_ns)

    def next_turn(self, now_ns: int) -> Any:
        self.events.append(('turn', None, now_ns))
        return super().next_turn(now_ns)


def message(feedback: Feedback) -> StreamFeedback:
    limits = feedback.limits
    return StreamFeedback(
        acknowledged=list(feedback.acknowledged), refresh=feedback.refresh,
        bytes_per_second=limits.bytes_per_second, overhead_bytes=limits.overhead_bytes,
        fragment_bytes=limits.fragment_bytes, quality=1.0, roi=[0.0, 0.0, 1.0, 1.0])


def replayed(node: EncoderNode, events: list[tuple[str, Any, int]]) -> list[bytes]:
    """Have the node live through what the evaluation's sender did, its clock turned by hand."""
    assert node._worker and node._scenes
    node._worker.stop()
    node._scenes.stop()
    camera, = node._cameras.values()
    sent: list[bytes] = []
    camera.frames.publish = lambda frame: sent.append(bytes(frame.data))
    for kind, what, now_ns in events:
        node.now_ns = lambda now_ns=now_ns: now_ns
        if kind == 'offer':
            node._on_picture(camera, image_from_picture(PICTURES[what], Header()))
        elif kind == 'tell':
            node._on_feedback(camera, message(what))
        else:
            node._step()
            while node._scenes.look():
                pass
    return sent


def test_node_and_evaluation_send_the_same_packets(node: EncoderNode,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, 'Sender', Tape)
    monkeypatch.setattr(Tape, 'events', [])
    ours = OurCodecs({'auto': SemanticEncoder('hevc')}, SemanticDecoder(), describe)
    codec = parse_codec('gsc-plain')
    assert codec is not None
    run = rehearse_clip(ours, [codec], PICTURES, TIMES, KBPS, LiveSettings())
    rehearsed = [one.outgoing.data for one in run.sent]
    assert len(rehearsed) >= 5
    assert any(unpack(data).reference is not None for data in rehearsed)
    assert any(unpack(data).objects for data in rehearsed)
    assert replayed(node, Tape.events) == rehearsed
