"""Both ends of the thin link as real processes, joined by UDP on this machine."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import socket
import time
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import LinkStatus, SemanticFrame, StreamFeedback, StreamInfo, StreamRequest
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from diagnostic_msgs.msg import DiagnosticArray
from gsc_ros.codec.bitstream import CoderId, pack, Packet
from gsc_ros.nodes.qos import latched_qos, output_qos
from gsc_ros.runtime.processes import ProcessGroup
from gsc_ros.runtime.specs import NodeSpec
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import CameraInfo

DOMAIN = 20 + (os.getpid() + 11) % 70
OTHER_DOMAIN = DOMAIN + 1  # where nodes of the same names do not meet the others
PATIENCE_S = 60.0
PERIOD_S = 0.1
STREAM = 'camera/image_raw/gsc'
KEY = bytes(range(100, 132))
ROBOT, BASE = 'gsc_link_robot', 'gsc_link_base'


def free_ports() -> list[int]:
    """Two UDP ports that nobody uses now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for made in sockets:
        made.bind(('127.0.0.1', 0))
    ports = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports


def key_file(folder: Path, key: bytes) -> str:
    """Write a key as it should be kept."""
    file = folder / f'{key[:4].hex()}.key'
    file.write_text(key.hex())
    file.chmod(0o600)
    return str(file)


class Link:
    """Two groups of one process each, so that either may be killed and started again."""

    def __init__(self, folder: Path, robot: dict[str, Any], base: dict[str, Any],
                 domain: int = DOMAIN) -> None:
        self.robot_port, self.base_port = free_ports()
        self.folder, self.domain = folder, domain
        self.sent: dict[int, bytes] = {}  # by stamp [ns]; a probe meets pictures of the one before
        here, there = (f'127.0.0.1:{port}' for port in (self.robot_port, self.base_port))
        common = {'diagnostics_period': 0.3, 'bytes_per_second': 20_000}
        self.groups = {
            ROBOT: self._group('link_robot', {
                'link': f'udp://{there}?bind={here}', 'streams': [STREAM],
                'reliability': 'reliable', 'depth': 10, **common, **robot}),
            # As a base station that does not know where the robot is.
            BASE: self._group('link_base', {
                'link': f'udp://?bind={there}', 'report_period': 0.1, **common, **base})}

    def _group(self, kind: str, params: dict[str, Any]) -> ProcessGroup:
        spec = NodeSpec(f'gsc_ros.nodes.{kind}_node', f'gsc_{kind}', params=params)
        return ProcessGroup([spec], log_dir=self.folder / kind,
                            env={'ROS_DOMAIN_ID': str(self.domain)})

    def log(self, name: str) -> str:
        """Everything that a node has written."""
        return self.groups[name].tail(name, 10_000)

    def restart(self, name: str) -> None:
        """Kill -9, as a power cut would."""
        group = self.groups[name]
        process = group._processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        group.start()


class Probe:
    """A node that plays encoder and operator, and looks at what comes out."""

    def __init__(self, link: Link) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=link.domain)
        self.node = rclpy.create_node('probe', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._frames = self.node.create_publisher(SemanticFrame, f'/{STREAM}', output_qos())
        self._infos = self.node.create_publisher(StreamInfo, f'/{STREAM}/info', latched_qos())
        self._infos.publish(stream_info())
        self._requests = self.node.create_publisher(
            StreamRequest, f'/base/{STREAM}/request', output_qos())
        self.sent = link.sent
        self.figures: dict[str, dict[str, str]] = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_status, 50)
        self._last_s = 0.0

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _on_status(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.figures[status.name] = {pair.key: pair.value for pair in status.values}

    def figure(self, name: str, key: str) -> float:
        """Return a number as last seen on /diagnostics, -1 before the first message."""
        return float(self.figures.get(name, {}).get(key, -1))

    def listen(self, kind: Any, topic: str, qos: Any = None) -> list[Any]:
        """Subscribe; the list fills with what arrives."""
        got: list[Any] = []
        self.node.create_subscription(kind, topic, got.append, qos or output_qos(50))
        return got

    def ask(self, kind: int, *values: float) -> None:
        """Publish a request."""
        self._requests.publish(StreamRequest(kind=kind, values=values))

    def until(self, done: Callable[[], Any], what: str) -> None:
        """Play the encoder until ``done``; fail after PATIENCE_S."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f'{what}; last seen {self.figures}'
            self._executor.spin_once(timeout_sec=0.02)
            if time.monotonic() - self._last_s > PERIOD_S:
                self._last_s = time.monotonic()
                self._publish()

    def _publish(self) -> None:
        number = len(self.sent)
        stamp = self.node.get_clock().now().to_msg()
        data = pack(Packet(CoderId.HEVC, 320, 240, 1, 0, 0, number % 65536, None, b'', b'',
                           bytes([number % 256]) * 300))
        self.sent[stamp.sec * 10**9 + stamp.nanosec // 100_000 * 100_000] = data
        frame = SemanticFrame(data=data)
        frame.header.stamp, frame.header.frame_id = stamp, 'camera_optical'
        self._frames.publish(frame)


def stream_info() -> StreamInfo:
    """Facts with a calibration whose figures fit single precision."""
    info = StreamInfo(coder='auto', fingerprint=0xBEEF, width=320, height=240, max_rate=2.5,
                      bytes_per_second=1000, max_bytes=1500,
                      camera_info=CameraInfo(width=640, height=480))
    info.header.frame_id = info.camera_info.header.frame_id = 'camera_optical'
    info.camera_info.distortion_model = 'plumb_bob'
    info.camera_info.d = [-0.25, 0.125, 0.0, 0.0, 0.0]
    info.camera_info.k = [600.5, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
    info.camera_info.p = [600.5, 0.0, 320.0, -60.0, 0.0, 610.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.camera_info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return info


@pytest.fixture(scope='module', autouse=True)
def environment(tmp_path_factory) -> Iterator[None]:
    """Traffic stays on this machine and in this test's domain."""
    patch = pytest.MonkeyPatch()
    for name, value in {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                        'ROS_DOMAIN_ID': str(DOMAIN),
                        'ROS_LOG_DIR': str(tmp_path_factory.mktemp('ros'))}.items():
        patch.setenv(name, value)
    yield
    patch.undo()


@pytest.fixture(scope='module')
def link(environment, tmp_path_factory) -> Iterator[Link]:
    """Run both ends with a key."""
    folder = tmp_path_factory.mktemp('link')
    key = {'key_file': key_file(folder, KEY)}
    made = Link(folder, {**key, 'mtu': 256}, key)
    with made.groups[ROBOT], made.groups[BASE]:
        yield made
    for name, group in made.groups.items():
        assert group.poll() == {name: 0}, made.log(name)
        assert 'unexpected error' not in made.log(name)


@pytest.fixture
def probe(link) -> Iterator[Probe]:
    """Make a fresh probe."""
    made = Probe(link)
    yield made
    made.close()


def check_frames(probe: Probe, frames: list[Any]) -> None:
    """Each is byte for byte what was sent with that stamp."""
    assert frames
    for frame in frames:
        stamp = frame.header.stamp.sec * 10**9 + frame.header.stamp.nanosec
        assert bytes(frame.data) == probe.sent[stamp]
        assert frame.header.frame_id == 'camera_optical'


def test_pictures_facts_and_acknowledgements_cross(probe, link):
    """In fragments, under a key, to a base station that learns where the robot is."""
    frames = probe.listen(SemanticFrame, f'/base/{STREAM}')
    infos = probe.listen(StreamInfo, f'/base/{STREAM}/info', latched_qos())
    feedback = probe.listen(StreamFeedback, f'/{STREAM}/feedback')
    probe.until(lambda: len(frames) >= 5 and infos and infos[-1].width, 'frames and facts')
    check_frames(probe, frames)
    expected = stream_info()
    expected.header = expected.camera_info.header = infos[-1].header
    assert infos[-1].header.frame_id == 'camera_optical'
    assert infos[-1] == expected
    probe.until(lambda: sum(len(msg.acknowledged) for msg in feedback) >= 5, 'acknowledgements')
    known = {data[10] | data[11] << 8 for data in probe.sent.values()}
    assert {sequence for msg in feedback for sequence in msg.acknowledged} <= known
    assert 0 < feedback[-1].bytes_per_second <= 20_000
    assert feedback[-1].overhead_bytes + feedback[-1].fragment_bytes == 256 + 28


def test_state_is_published_at_both_ends(probe, link):
    """LinkStatus and /diagnostics agree that the link works."""
    states = {name: probe.listen(LinkStatus, f'/{name}/status') for name in (ROBOT, BASE)}
    probe.until(lambda: all(states.values()) and all(
        msgs[-1].connected and 0 <= msgs[-1].picture_age < 5 for msgs in states.values())
        and states[BASE][-1].goodput > 500 and states[ROBOT][-1].round_trip > 0, 'states')
    for msgs in states.values():
        assert sum(part.count for part in msgs[-1].bytes_by_part) > 100
        assert {'datagrams_sent', 'auth_failed', 'transport_sent'} <= {
            count.name for count in msgs[-1].counters}
    probe.until(lambda: all(probe.figures.get(f'{name}: link', {}).get('connected') == 'True'
                            for name in states), 'diagnostics')
    probe.until(lambda: probe.figure(f'{BASE}: base/{STREAM}', 'pictures') > 0, 'pictures')
    assert probe.figure(f'{ROBOT}: {STREAM}', 'acknowledged') > 0
    assert probe.figure(f'{ROBOT}: link', 'transport_failures') == 0


def test_requests_reach_the_encoder(probe, link):
    """Every kind; what is unsound is refused at the base station and counted."""
    feedback = probe.listen(StreamFeedback, f'/{STREAM}/feedback')
    probe.until(lambda: feedback and probe._requests.get_subscription_count(), 'a match')
    probe.ask(StreamRequest.QUALITY, 7.0)
    probe.ask(99)
    probe.ask(StreamRequest.PAUSE)
    probe.until(lambda: feedback[-1].paused, 'pause')
    probe.ask(StreamRequest.RATE, 500.0)
    probe.ask(StreamRequest.QUALITY, 0.5)
    probe.ask(StreamRequest.ROI, 0.25, 0.0, 0.75, 1.0)
    probe.ask(StreamRequest.PRIORITY, 3.0)
    probe.ask(StreamRequest.RESUME)
    probe.until(lambda: feedback[-1].priority == 3.0 and not feedback[-1].paused, 'the others')
    last = feedback[-1]
    assert (last.rate, last.quality, list(last.roi)) == (500.0, 0.5, [0.25, 0.0, 0.75, 1.0])
    seen = len(feedback)
    probe.ask(StreamRequest.REFRESH)
    probe.until(lambda: any(msg.refresh for msg in feedback[seen:]), 'refresh')
    name = f'{BASE}: base/{STREAM}'
    probe.until(lambda: probe.figure(name, 'refused_requests') == 2, 'refused requests')
    assert 'request refused' in link.log(BASE)


@pytest.mark.parametrize('name', [BASE, ROBOT])
def test_either_end_may_be_killed_at_any_time(probe, link, name):
    """Pictures come again; of a new base station the encoder is told that it holds none."""
    frames = probe.listen(SemanticFrame, f'/base/{STREAM}')
    feedback = probe.listen(StreamFeedback, f'/{STREAM}/feedback')
    infos = probe.listen(StreamInfo, f'/base/{STREAM}/info', latched_qos())
    probe.until(lambda: len(frames) >= 2 and feedback, 'frames')
    seen, facts, told = len(frames), len(infos), len(feedback)
    link.restart(name)
    probe.until(lambda: len(frames) >= seen + 3, 'frames after the restart')
    if name == BASE:
        probe.until(lambda: any(msg.refresh for msg in feedback[told:]), 'refresh')
        probe.until(lambda: len(infos) > facts, 'facts after the restart')
    check_frames(probe, frames)


def test_rubbish_is_counted_and_harmless(probe, link):
    """Noise and cut datagrams to either end from a stranger."""
    frames = probe.listen(SemanticFrame, f'/base/{STREAM}')
    probe.until(lambda: frames and f'{BASE}: link' in probe.figures, 'a first frame')
    kinds = 'malformed', 'auth_failed', 'other_version'
    before = sum(probe.figure(f'{BASE}: link', name) for name in kinds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for port in (link.base_port, link.robot_port):
            for data in (b'', b'\x40', bytes(40), os.urandom(256), b'\xa0' + bytes(60)):
                stranger.sendto(data, ('127.0.0.1', port))
    seen = len(frames)
    probe.until(lambda: len(frames) >= seen + 3, 'frames after the rubbish')
    probe.until(lambda: sum(probe.figure(f'{BASE}: link', name) for name in kinds) >= before + 4,
                'counted rubbish')
    probe.until(lambda: probe.figure(f'{ROBOT}: link', 'transport_foreign') >= 4, 'strangers')


def test_nothing_secret_is_shown(probe, link):
    """Neither logs nor parameters have the key, only where it lies."""
    client = AsyncParameterClient(probe.node, f'/{ROBOT}')
    probe.until(client.services_are_ready, 'parameter services')
    names = client.list_parameters()
    probe.until(names.done, 'names')
    values = client.get_parameters(names.result().result.names)
    probe.until(values.done, 'values')
    shown = str(values.result()) + link.log(ROBOT) + link.log(BASE) + str(probe.figures)
    assert str(link.folder) in shown
    assert KEY.hex() not in shown
    assert str(KEY)[2:-1] not in shown


def test_another_key_gets_nothing_through(environment, tmp_path):
    """The base station counts and drops it all; the robot hears nothing that it believes."""
    link = Link(tmp_path, {'key_file': key_file(tmp_path, KEY[::-1])},
                {'key_file': key_file(tmp_path, KEY)}, OTHER_DOMAIN)
    with link.groups[ROBOT], link.groups[BASE]:
        probe = Probe(link)
        frames = probe.listen(SemanticFrame, f'/base/{STREAM}')
        probe.until(lambda: probe.figure(f'{BASE}: link', 'auth_failed') > 2, 'refusals')
        probe.until(lambda: f'{ROBOT}: link' in probe.figures, 'state of the robot')
        assert probe.figure(f'{ROBOT}: link', 'datagrams_received') == 0
        assert not frames
        probe.close()


def test_a_port_that_is_not_there_is_tried_again(environment, tmp_path):
    """The node works, says what is missing, and opens the port once it is there."""
    link = Link(tmp_path, {'link': f'serial://{tmp_path}/tty'}, {}, OTHER_DOMAIN)
    with link.groups[ROBOT]:
        probe = Probe(link)
        probe.until(lambda: probe.figure(f'{ROBOT}: link', 'transport_failed_to_open') >= 2,
                    'attempts')
        assert 'cannot open' in link.log(ROBOT)
        master, slave = os.openpty()
        (tmp_path / 'tty').symlink_to(os.ttyname(slave))
        probe.until(lambda: probe.figure(f'{ROBOT}: link', 'transport_sent') > 0, 'datagrams')
        probe.close()
        for end in (master, slave):
            os.close(end)
