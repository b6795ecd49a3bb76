"""The nodes as real processes, joined by real topics, in a ROS domain of their own."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import ObjectArray, SemanticFrame, StreamInfo
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from diagnostic_msgs.msg import DiagnosticArray
from gsc_ros.media.images import picture_from_image
from gsc_ros.nodes.messages import image_from_picture
from gsc_ros.nodes.qos import latched_qos, output_qos
from gsc_ros.parameters.sides import free_ports, loopback_specs, RadioSettings, robot_specs
from gsc_ros.runtime.processes import FASTDDS_TRANSPORTS, node_environment, ProcessGroup
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

ROOT = Path(__file__).resolve().parents[1]
DOMAIN = 20 + os.getpid() % 70
PATIENCE_S = 90.0  # a busy machine imports torch in tens of seconds
WIDTH, HEIGHT = 320, 240
PERIOD_S = 0.1
START_S = int(time.time())   # before any facts the link takes stamps for those of these days
NANOSECONDS = 123_400_000   # of every stamp; the link carries units of 0.1 ms


@pytest.fixture(scope='module')
def environment(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Traffic stays on this machine and in this test's domain."""
    values = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': str(DOMAIN),
              'ROS_LOG_DIR': str(tmp_path_factory.mktemp('ros')),
              'FASTDDS_BUILTIN_TRANSPORTS': FASTDDS_TRANSPORTS}
    patch = pytest.MonkeyPatch()
    for name, value in values.items():
        patch.setenv(name, value)
    yield values
    patch.undo()


class Probe:
    """A node that plays the camera and looks at what comes out."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node('probe', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._pictures = self.node.create_publisher(Image, '/camera/image_raw', output_qos())
        self._infos = self.node.create_publisher(
            CameraInfo, '/camera/camera_info', output_qos())
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_status, 50)
        self.status: dict[str, dict[str, str]] = {}
        self.levels: dict[str, set[bytes]] = {}
        self.sent: dict[int, np.ndarray] = {}
        self._last_s = 0.0

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _on_status(self, array: DiagnosticArray) -> None:
        for status in array.status:
            name = status.name.partition(':')[0]
            self.status[name] = {pair.key: pair.value for pair in status.values}
            self.levels.setdefault(name, set()).add(status.level)

    def count(self, node: str, name: str) -> int:
        """Return a counter of a node as last seen on /diagnostics, -1 before the first message."""
        return int(self.status.get(node, {}).get(name, -1))

    def listen(self, kind: Any, topic: str, qos: Any = None) -> list[Any]:
        """Subscribe; the list fills with what arrives."""
        got: list[Any] = []
        self.node.create_subscription(kind, topic, got.append, qos or output_qos())
        return got

    def until(self, done: Callable[[], Any], what: str, camera: bool = True) -> None:
        """Play the camera until ``done``; fail after PATIENCE_S."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f'{what}; last seen {self.status}'
            self._executor.spin_once(timeout_sec=0.02)
            ended = [name for name, code in self._group.poll().items() if code is not None]
            assert not ended, [self._group.tail(name) for name in ended]
            if camera and time.monotonic() - self._last_s > PERIOD_S:
                self._last_s = time.monotonic()
                self._publish()

    def _publish(self) -> None:
        number = START_S + len(self.sent)
        ramp = np.linspace(0, 200, WIDTH)[None, :, None] + np.array([0, 25, 50])
        picture = np.broadcast_to(ramp, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        self.sent[number] = picture
        header = Header(frame_id='camera_optical')
        header.stamp.sec, header.stamp.nanosec = number, NANOSECONDS
        info = CameraInfo(header=header, width=2 * WIDTH, height=2 * HEIGHT)
        info.k = [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
        info.p = [600.0, 0.0, 320.0, -60.0, 0.0, 610.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        self._infos.publish(info)
        self._pictures.publish(image_from_picture(picture, header))


@pytest.fixture(scope='module')
def group(environment, tmp_path_factory) -> Iterator[ProcessGroup]:
    """Run encoder, link and decoder with the shipped parameter file."""
    specs = loopback_specs(
        ROOT / 'config/loopback.yaml', radio=RadioSettings(kbps=100.0), ports=free_ports(),
        with_detector=False,
        encoder={'coder': 'hevc', 'detector': 'none', 'caption_source': 'scene',
                 'max_rate': 4.0, 'diagnostics_period': 0.3},
        link_robot={'diagnostics_period': 0.3}, link_base={'diagnostics_period': 0.3},
        decoder={'generate': 'never', 'diagnostics_period': 0.3})
    nodes = ProcessGroup(specs, log_dir=tmp_path_factory.mktemp('nodes'), env=environment)
    with nodes:
        yield nodes
        nodes.stop(grace_s=PATIENCE_S)
    assert set(nodes.poll().values()) == {0}, [nodes.tail(spec.name) for spec in specs]


@pytest.fixture
def probe(group) -> Iterator[Probe]:
    """Make a fresh probe; when a node ends the test fails with its log."""
    made = Probe(group)
    yield made
    made.close()


def test_pictures_arrive_with_stamp_and_frame(probe):
    """Picture, plain picture, scaled camera_info, caption and objects of the same source."""
    pictures = probe.listen(Image, '/base/camera/decoded/image_raw')
    plains = probe.listen(Image, '/base/camera/plain/image_raw')
    infos = probe.listen(CameraInfo, '/base/camera/decoded/camera_info')
    captions = probe.listen(String, '/base/camera/decoded/caption')
    objects = probe.listen(ObjectArray, '/base/camera/decoded/objects')
    probe.until(lambda: min(map(len, (pictures, plains, infos, objects))) >= 3
                and any(caption.data for caption in captions), 'decoded outputs')
    for msg in pictures + plains:
        assert msg.header.frame_id == 'camera_optical'
        assert msg.header.stamp.nanosec == NANOSECONDS
        assert (msg.width, msg.height, msg.encoding) == (WIDTH, HEIGHT, 'rgb8')
        source = probe.sent[msg.header.stamp.sec].astype(int)
        assert np.abs(picture_from_image(msg) - source).mean() < 10
    stamps = [msg.header.stamp.sec for msg in pictures]
    assert stamps == sorted(set(stamps))
    info = infos[-1]
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.header.stamp.nanosec == NANOSECONDS
    assert list(info.k) == [300.0, 0.0, 160.0, 0.0, 305.0, 120.0, 0.0, 0.0, 1.0]
    assert list(info.p[:7]) == [300.0, 0.0, 160.0, -30.0, 0.0, 305.0, 120.0]
    assert (objects[-1].width, objects[-1].height) == (WIDTH, HEIGHT)


def test_packets_keep_the_budget(probe):
    """What crosses the link is small, and the counters of all three nodes add up."""
    frames = probe.listen(SemanticFrame, '/base/camera/image_raw/gsc')
    probe.until(lambda: len(frames) >= 4, 'packets behind the link')
    assert all(len(frame.data) <= 1500 for frame in frames)
    probe.until(lambda: probe.count('gsc_link_base', 'pictures') > 0, 'link diagnostics')
    assert probe.count('gsc_encoder', 'errors') == 0
    assert probe.count('gsc_link_robot', 'bad_packets') == 0
    assert probe.count('gsc_encoder', 'pictures_in') >= probe.count('gsc_encoder', 'encoded') > 0


def test_decoding_is_lazy(probe):
    """Nobody subscribes: packets are counted, not decoded; with a subscriber work starts."""
    probe.until(lambda: probe.count('gsc_decoder', 'packets') > 0, 'decoder diagnostics')
    # An earlier probe's subscriptions vanish only after a while.
    before = probe.count('gsc_decoder', 'skipped')
    probe.until(lambda: probe.count('gsc_decoder', 'skipped') >= before + 2, 'skipped packets')
    decoded, packets = (probe.count('gsc_decoder', name) for name in ('decoded', 'packets'))
    probe.until(lambda: probe.count('gsc_decoder', 'packets') >= packets + 3, 'more packets')
    assert probe.count('gsc_decoder', 'decoded') == decoded
    probe.listen(Image, '/base/camera/plain/image_raw')
    probe.until(lambda: probe.count('gsc_decoder', 'decoded') > decoded, 'decoding')


def test_bad_packets_are_counted_and_the_node_lives(probe, group):
    """Rubbish, an empty packet and a cut one: counted, warned of, dropped; then work goes on."""
    pictures = probe.listen(Image, '/base/camera/decoded/image_raw')
    frames = probe.listen(SemanticFrame, '/base/camera/image_raw/gsc')
    rubbish = probe.node.create_publisher(
        SemanticFrame, '/base/camera/image_raw/gsc', output_qos())
    probe.until(lambda: pictures and frames, 'a first picture')
    bad = max(0, probe.count('gsc_decoder', 'bad_packets'))
    good = bytes(frames[0].data)
    probe.until(lambda: rubbish.get_subscription_count() >= 2, 'a match')
    for data in (b'', b'rubbish', good[:-1], good + b'\0', bytes(3000)):
        rubbish.publish(SemanticFrame(data=data))
    probe.until(lambda: probe.count('gsc_decoder', 'bad_packets') == bad + 5, 'bad packets')
    assert b'\x01' in probe.levels['gsc_decoder']
    seen = len(pictures)
    probe.until(lambda: len(pictures) >= seen + 2, 'pictures after bad packets')
    assert 'bad packet' in group.tail('gsc_decoder')


def test_runtime_parameters(probe):
    """A runtime parameter takes effect; bad and fixed ones are refused by name."""
    facts = probe.listen(StreamInfo, '/base/camera/image_raw/gsc/info', latched_qos())
    client = AsyncParameterClient(probe.node, '/gsc_encoder')
    probe.until(client.services_are_ready, 'parameter services')

    def change(name: str, value: Any) -> Any:
        future = client.set_parameters([Parameter(name, value=value)])
        probe.until(future.done, f'the answer for {name}')
        return future.result().results[0]

    assert change('max_rate', 3).successful
    probe.until(lambda: facts and facts[-1].max_rate == 3.0, 'the new rate in StreamInfo')
    assert (facts[-1].coder, facts[-1].width, facts[-1].camera_info.width) == (
        'hevc', WIDTH, 2 * WIDTH)
    for name, value in (('max_rate', -1.0), ('max_rate', 'fast'), ('coder', 'learned'),
                        ('min_bytes', 10)):
        refused = change(name, value)
        assert not refused.successful
        assert name in refused.reason


def test_a_bad_parameter_fails_configure_by_name(environment, tmp_path):
    """The process says which parameter, which value and what is allowed, and exits with 1."""
    specs = robot_specs(ROOT / 'config/robot.yaml', encoder={'max_rate': -1.0, 'coder': 'hevc'})
    with ProcessGroup(specs, log_dir=tmp_path, env=environment) as nodes:
        nodes.wait(PATIENCE_S)
        assert nodes.poll() == {'gsc_encoder': 1}
        assert 'max_rate is -1.0, allowed: float 0.01..60.0' in nodes.tail('gsc_encoder')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_node_cleanly(environment, tmp_path, number):
    """Ctrl-C and a plain kill both end with exit code 0 and without a traceback."""
    with (tmp_path / 'log').open('wb') as log:
        node = subprocess.Popen(
            [sys.executable, '-m', 'gsc_ros.nodes.link_node'], stdout=log, stderr=log,
            env=node_environment(tmp_path, environment))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while 'active: ' not in (tmp_path / 'log').read_text():
            assert time.monotonic() < deadline
            assert node.poll() is None
            time.sleep(0.05)
        node.send_signal(number)
        assert node.wait(PATIENCE_S) == 0
    finally:
        node.kill()
    assert 'Traceback' not in (tmp_path / 'log').read_text()
