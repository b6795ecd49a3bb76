"""All nodes in one process, joined as on a robot and its base station; one is cycled."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import random
import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import ObjectArray, SemanticFrame
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from gsc_ros.nodes.decoder_node import DecoderNode
from gsc_ros.nodes.detector_node import DetectorNode
from gsc_ros.nodes.encoder_node import EncoderNode
from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.link_base_node import LinkBaseNode
from gsc_ros.nodes.link_node import LinkNode
from gsc_ros.nodes.link_robot_node import LinkRobotNode
from gsc_ros.nodes.player_node import PlayerNode
from gsc_ros.nodes.qos import output_qos
from gsc_ros.nodes.recorder_node import RecorderNode
from PIL import Image as PilImage
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

PATIENCE_S = 60.0
TRANSITIONS = 100
LONGEST_PAUSE_S = 0.06
NEXT = {'unconfigured': ['configure'], 'inactive': ['activate', 'activate', 'cleanup'],
        'active': ['deactivate']}
CAMERA = 'camera/image_raw'
# what comes out of each node, whoever it is made of
OUTPUTS = {
    PlayerNode: (Image, f'/{CAMERA}'),
    EncoderNode: (SemanticFrame, f'/{CAMERA}/gsc'),
    LinkNode: (SemanticFrame, f'/emulated/{CAMERA}/gsc'),
    LinkRobotNode: (SemanticFrame, f'/base/{CAMERA}/gsc'),
    LinkBaseNode: (SemanticFrame, f'/base/{CAMERA}/gsc'),
    DecoderNode: (Image, '/base/camera/decoded/image_raw'),
    DetectorNode: (ObjectArray, '/base/camera/decoded/detected_objects'),
    RecorderNode: (Image, '/recorder/camera/image_raw'),
}


def parameters(folder: Path) -> dict[str, dict[str, Any]]:
    """Parameters of each node; the ends of the link find each other on free ports."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(
            type=socket.SOCK_DGRAM) as other:
        one.bind(('127.0.0.1', 0))
        other.bind(('127.0.0.1', 0))
        robot, base = (f'127.0.0.1:{made.getsockname()[1]}' for made in (one, other))
    fast = {'bytes_per_second': 50_000}
    return {
        'gsc_player': {'input': folder / 'pictures', 'rate': 20.0, 'loop': 'true'},
        'gsc_encoder': {'coder': 'hevc', 'detector': 'none', 'caption_source': 'none',
                        'max_rate': 20.0, **fast},
        'gsc_link': {'prefix': 'emulated', 'kbps': 1000.0},
        'gsc_link_robot': {'link': f'udp://{base}?bind={robot}', **fast},
        'gsc_link_base': {'link': f'udp://{robot}?bind={base}', **fast},
        'gsc_decoder': {'generate': 'never'}, 'gsc_detector': {'max_rate': 50.0},
        'gsc_recorder': {'folder': folder / 'recorded', 'reliability': 'best_effort'}}


class Chain:
    """One node of each class and a probe of every output, in one executor."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self.nodes: dict[type[GscNode], GscNode] = {kind: kind() for kind in OUTPUTS}
        self.probe = rclpy.create_node('probe')
        self.counts = dict.fromkeys(OUTPUTS, 0)
        for kind, (message, topic) in OUTPUTS.items():
            self.probe.create_subscription(
                message, topic, lambda msg, kind=kind: self._count(kind), output_qos())
        for node in (*self.nodes.values(), self.probe):
            self._executor.add_node(node)

    def _count(self, kind: type[GscNode]) -> None:
        self.counts[kind] += 1

    def close(self) -> None:
        """Take everything down."""
        for node in self.nodes.values():
            assert node.close()
            node.destroy_node()
        self.probe.destroy_node()
        self._executor.shutdown()

    def spin(self, seconds: float) -> None:
        """Handle what comes for a while."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.01)

    def flows(self, more: int = 3) -> None:
        """Wait for new messages from every node."""
        wanted = {kind: count + more for kind, count in self.counts.items()}
        deadline = time.monotonic() + PATIENCE_S
        while any(self.counts[kind] < count for kind, count in wanted.items()):
            assert time.monotonic() < deadline, (self.counts, wanted)
            self._executor.spin_once(timeout_sec=0.02)


@pytest.fixture
def chain(monkeypatch, tmp_path) -> Iterator[Chain]:
    """Start all nodes in a domain of this test's own, with a stand-in for the detector."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    monkeypatch.setitem(sys.modules, 'gsc_ros.scene.detector', SimpleNamespace(
        load_detector=lambda **words: SimpleNamespace(name='none', detect=lambda shown: [])))
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for number, shade in enumerate(np.random.default_rng(1).integers(0, 255, (4, 48, 64, 3))):
        PilImage.fromarray(shade.astype(np.uint8)).save(folder / f'{number}.png')
    args = ['--ros-args']
    for node, values in parameters(tmp_path).items():
        for name, value in values.items():
            args += ['-p', f'{node}:{name}:={value}']
    rclpy.init(args=args, domain_id=20 + (os.getpid() + 53) % 70)
    made = Chain()
    yield made
    made.close()
    rclpy.try_shutdown()


def transition(node: GscNode, name: str, fresh: Callable[[], str]) -> None:
    """Take a node through a transition; a recorder does not write over what it has written."""
    if name == 'configure' and isinstance(node, RecorderNode):
        node.set_parameters([Parameter('folder', value=fresh())])
    result = getattr(node, f'trigger_{name}')()
    assert result == TransitionCallbackReturn.SUCCESS, name


@pytest.mark.slow
@pytest.mark.parametrize('kind', OUTPUTS, ids=lambda kind: kind.__name__)
def test_random_transitions_with_pictures_flowing(chain, tmp_path, kind, capfd):
    """A hundred of them all succeed, and in the end pictures flow through all nodes."""
    for node in chain.nodes.values():
        assert node.autostart()
    chain.flows()
    node, chance, folders = chain.nodes[kind], random.Random(kind.__name__), iter(range(1000))
    fresh = lambda: str(tmp_path / f'recorded{next(folders)}')  # noqa: E731
    for _ in range(TRANSITIONS):
        state = node._state_machine.current_state[1]
        transition(node, chance.choice(NEXT[state]), fresh)
        chain.spin(chance.uniform(0.0, LONGEST_PAUSE_S))
    while (state := node._state_machine.current_state[1]) != 'active':
        transition(node, NEXT[state][0], fresh)
    chain.flows()
    assert 'failed' not in (said := capfd.readouterr().err), said
    assert 'unexpected' not in said, said
