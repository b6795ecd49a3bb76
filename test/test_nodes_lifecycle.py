"""The nodes in this process, with stand-ins for coder and detector."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Callable, Iterator
import os
import sys
from threading import Event
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import ObjectArray, SemanticFrame, StreamFeedback, StreamRequest
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from diagnostic_msgs.msg import DiagnosticStatus
from gsc_ros.budget.byte_budget import BudgetSettings
from gsc_ros.codec.bitstream import CoderId, pack, Packet, unpack
from gsc_ros.codec.errors import BudgetError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import MissingReferenceError, SenderReferences
from gsc_ros.media.images import picture_from_image
from gsc_ros.media.overlay import draw_objects
from gsc_ros.nodes import decoder_node
from gsc_ros.nodes.decoder_node import DecoderNode
from gsc_ros.nodes.detector_node import DetectorNode
from gsc_ros.nodes.encoder_node import EncoderNode
from gsc_ros.nodes.link_node import LinkNode
from gsc_ros.nodes.link_robot_node import LinkRobotNode
from gsc_ros.nodes.messages import compressed_from_picture, image_from_picture
from gsc_ros.nodes.process import run_node
from gsc_ros.nodes.qos import output_qos
from gsc_ros.parameters.tables import TABLES
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

PATIENCE_S = 60.0
DONE, FAILED = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Bench:
    """Nodes under test and a probe in one executor."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Any] = []
        self.probe = self.add(rclpy.create_node('probe'))

    def add(self, node: Any) -> Any:
        """Have a node spun."""
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def close(self) -> None:
        """Take everything down."""
        for node in self._nodes:
            if hasattr(node, 'close'):
                node.close()
            self._executor.remove_node(node)
            node.destroy_node()
        self._executor.shutdown()

    def listen(self, kind: Any, topic: str) -> list[Any]:
        """Subscribe; the list fills with what arrives."""
        got: list[Any] = []
        self.probe.create_subscription(kind, topic, got.append, output_qos())
        return got

    def until(self, done: Callable[[], Any], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Spin until ``done``."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.02)
            meanwhile()


@pytest.fixture
def start(monkeypatch, tmp_path) -> Iterator[Callable[..., Bench]]:
    """Initialise ROS with parameters, in a domain of this test's own."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    benches = []

    def make(**params: str) -> Bench:
        args = ['--ros-args']
        for name, value in params.items():
            args += ['-p', f'{name}:={value}']
        rclpy.init(args=args, domain_id=20 + (os.getpid() + 35) % 70)
        benches.append(Bench())
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()
    rclpy.try_shutdown()


def test_declared_parameters_are_the_table(start):
    """Names, descriptions and ranges as `ros2 param describe` shows them."""
    node = start().add(LinkNode())
    table = TABLES['link']
    for parameter in table.parameters:
        described = node.describe_parameter(parameter.name)
        assert described.description == parameter.description
        assert node.get_parameter(parameter.name).value == parameter.default
    assert node.describe_parameter('loss').floating_point_range[0].to_value == 1.0
    assert node.describe_parameter('depth').integer_range[0].to_value == 100


def test_bad_parameter_fails_configure_until_it_is_mended(start):
    """The node lives, says what is wrong, and configures with the corrected value."""
    node = start(loss=2.0, kbps=16).add(LinkNode())
    assert node.trigger_configure() == FAILED
    assert node.set_parameters([Parameter('loss', value=0.5)])[0].successful
    assert node.trigger_configure() == DONE
    assert node.parameters['kbps'] == 16.0
    assert node.trigger_activate() == DONE


@pytest.mark.parametrize('params', [
    {'streams': '["no/stream/name"]'}, {'streams': '["a/gsc", "a/gsc"]'}, {'kbps': 'fast'},
    {'loss': '.nan'}, {'reliability': 'sometimes'}, {'seed': '1.5'}, {'streams': '[]'}])
def test_other_bad_parameters_fail_configure(start, params):
    """Wrong types, choices and topics; an empty list, which ROS hands over as nothing."""
    assert start(**params).add(LinkNode()).trigger_configure() == FAILED


@pytest.mark.parametrize(('params', 'named'), [
    ({'link': 'pigeon://rfc1149'}, 'link is pigeon'), ({'key_file': '/no/such/key'}, 'key_file'),
    ({'mtu': 63}, 'mtu is 63'), ({'streams': '["/camera/image_raw"]'}, 'stream is'),
    ({'link': 'udp://127.0.0.1:9'}, None)])
def test_what_is_wrong_with_the_link_fails_configure(start, params, named, capfd):
    """A link that is not understood, an unreadable key, a name that no decoder could take."""
    node = start(**params).add(LinkRobotNode())
    assert node.trigger_configure() == (FAILED if named else DONE)
    assert (named or '') in capfd.readouterr().err


def test_only_runtime_parameters_change_while_configured(start):
    """After clean-up everything may change again."""
    node = start().add(LinkNode())
    streams, speed = Parameter('streams', value=['b/gsc']), Parameter('kbps', value=64.0)
    assert node.trigger_configure() == DONE
    assert node.trigger_activate() == DONE
    refused = node.set_parameters([streams])[0]
    assert not refused.successful
    assert 'streams' in refused.reason
    assert node.set_parameters([speed])[0].successful
    assert node.trigger_deactivate() == DONE
    assert node.trigger_cleanup() == DONE
    assert node.set_parameters([streams])[0].successful
    assert node.trigger_configure() == DONE
    assert node.trigger_activate() == DONE


def test_autostart_can_be_left_out(start):
    """With autostart false the node waits for a manager."""
    node = start(autostart='false').add(LinkNode())
    assert node.autostart()
    assert node.trigger_configure() == DONE


def test_a_failed_autostart_is_an_exit_code(monkeypatch, tmp_path):
    """run_node returns 1 and leaves nothing behind."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    assert run_node(LinkNode, ['--ros-args', '-p', 'kbps:=0.0']) == 1
    assert not rclpy.ok()


def picture(level: int) -> np.ndarray:
    """Make a flat picture, 64 x 48."""
    return np.full((48, 64, 3), level, np.uint8)


class StandInEncoder:
    """Packs the first pixel; a black picture fits no budget, a white one is a bug."""

    used: list[tuple[int, Any]] = []
    focus: list[Any] = []

    def __init__(self, coder: str, device: str) -> None:
        self.coder = coder
        self.used.clear()

    def encode_packet(self, shown: np.ndarray, max_bytes: int, *, caption: str, objects: Any,
                      sequence: int, seed: int, references: Any, focus: Any) -> Packet:
        """As SemanticEncoder.encode_packet."""
        level = int(shown[0, 0, 0])
        if level == 0:
            raise BudgetError(max_bytes, max_bytes + 1)
        if level == 255:
            raise RuntimeError('a bug')
        height, width = shown.shape[:2]
        self.used.append((max_bytes, references))
        self.focus.append(focus)
        return Packet(CoderId.HEVC, width, height, 1, 0, seed, sequence, None, b'', b'',
                      bytes([level]))


@pytest.fixture
def stand_in_encoder(monkeypatch):
    """Have the encoder node load the stand-in."""
    monkeypatch.setitem(sys.modules, 'gsc_ros.encoder',
                        SimpleNamespace(SemanticEncoder=StandInEncoder))


def test_encoder_serves_several_compressed_cameras(start, stand_in_encoder):
    """Each camera has its own packets, sequence and counters; bad pictures are counted."""
    bench = start(cameras='["a/image", "b/image"]', transport='compressed', detector='none',
                  caption_source='none', bytes_per_second='50000', max_rate='50.0',
                  max_width='32')
    node = bench.add(EncoderNode())
    assert node.autostart()
    out = {name: bench.listen(SemanticFrame, f'/{name}/image/gsc') for name in 'ab'}
    sources = {name: bench.probe.create_publisher(
        CompressedImage, f'/{name}/image/compressed', output_qos()) for name in 'ab'}

    def publish() -> None:
        for level, (name, source) in enumerate(sources.items(), 100):
            source.publish(compressed_from_picture(picture(level), Header(frame_id=name)))

    bench.until(lambda: min(map(len, out.values())) >= 3, publish)
    for level, name in enumerate('ab', 100):
        packets = [unpack(bytes(frame.data)) for frame in out[name]]
        sequences = [packet.sequence for packet in packets]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert {(packet.width, packet.height) for packet in packets} == {(32, 24)}
        assert {packet.latent for packet in packets} == {bytes([level])}
        assert {frame.header.frame_id for frame in out[name]} == {name}
    bad = {counters.name: counters for counters in node.counters()}['a/image']
    bench.until(lambda: bad.get('bad_pictures') >= 1, lambda: sources['a'].publish(
        CompressedImage(format='jpeg', data=b'no picture')))


def test_encoder_survives_failures(start, stand_in_encoder):
    """Over budget and unexpected errors are counted; the next picture is encoded."""
    bench = start(cameras='["image"]', detector='none', caption_source='none', max_rate='50.0',
                  bytes_per_second='50000', diagnostics_period='60.0')
    node = bench.add(EncoderNode())
    assert node.autostart()
    source = bench.probe.create_publisher(Image, '/image', output_qos())
    frames = bench.listen(SemanticFrame, '/image/gsc')
    counters, = node.counters()
    for level, name in ((0, 'over_budget'), (255, 'errors'), (7, 'encoded')):
        msg = image_from_picture(picture(level), Header())
        bench.until(lambda name=name: counters.get(name), lambda msg=msg: source.publish(msg))
    bench.until(lambda: frames)
    status = counters.status('gsc_encoder')
    assert status.level == b'\x01'
    assert 'over_budget' in status.message
    assert counters.status('gsc_encoder').level == b'\x00'


def test_encoder_obeys_what_the_link_says(start, stand_in_encoder):
    """Speed, quality and references as told; pause; regions of interest are refused by name."""
    bench = start(cameras='["image"]', detector='none', caption_source='none', max_rate='60.0',
                  bytes_per_second='50000', max_bytes='1000', overhead_bytes='0')
    node = bench.add(EncoderNode())
    assert node.autostart()
    source = bench.probe.create_publisher(Image, '/image', output_qos())
    link = bench.probe.create_publisher(StreamFeedback, '/image/gsc/feedback', output_qos())
    msg = image_from_picture(picture(9), Header())
    counters, = node.counters()

    def encoded(more: int) -> list[tuple[int, Any]]:
        StandInEncoder.used.clear()
        bench.until(lambda: len(StandInEncoder.used) >= more, lambda: source.publish(msg))
        return list(StandInEncoder.used)

    assert all(limit > 500 and references is None for limit, references in encoded(3))
    told = StreamFeedback(bytes_per_second=49_000, overhead_bytes=50, fragment_bytes=1000,
                          quality=1.0, roi=[0.0, 0.0, 1.0, 1.0], acknowledged=[0, 1])
    bench.until(link.get_subscription_count)
    link.publish(told)
    bench.until(lambda: counters.get('acknowledged') == 2)
    assert isinstance(encoded(3)[-1][1], SenderReferences)
    assert node._sender.budget == BudgetSettings(49_000, 60.0, 60, 1000, 50, 1000)
    told.quality, told.paused, told.refresh, told.roi = 0.5, True, True, [0.0, 0.0, 0.5, 1.0]
    link.publish(told)
    bench.until(lambda: counters.get('acknowledged') == 4)
    ticks: list[int] = []
    StandInEncoder.used.clear()
    node.create_timer(0.05, lambda: ticks.append(1))
    bench.until(lambda: len(ticks) >= 6, lambda: source.publish(msg))
    assert len(StandInEncoder.used) <= 1  # at most the one that was begun
    told.paused = told.refresh = False
    link.publish(told)
    assert all(150 <= limit <= 500 for limit, _ in encoded(3))
    assert StandInEncoder.focus[-1].regions == [(0.0, 0.0, 0.5, 1.0)]
    assert (counters.get('refused_requests'), counters.get('refreshes')) == (0, 1)
    told.roi = [0.5, 0.0, 0.5, 1.0]     # empty: the whole message is refused
    link.publish(told)
    bench.until(lambda: counters.get('refused_requests') == 1)


class StandInDecoder:
    """Needs for packet n the packet n - 1 unless n is a multiple of 100; follows all."""

    followed: list[int] = []
    asked: list[bool | None] = []       # generate, of every decoded packet
    may_load = Event()
    may_load.set()

    def __init__(self, device: str, prior: str) -> None:
        assert (device, prior) == ('cpu', 'embedded')
        self.followed.clear()
        self.asked.clear()
        self.ready = False

    def preload(self) -> None:
        """As SemanticDecoder.preload."""
        assert self.may_load.wait(30)
        self.ready = True

    def follow(self, packet: Packet, references: Any) -> None:
        """As SemanticDecoder.follow."""
        sequence = packet.sequence
        if sequence % 100 and sequence - 1 not in self.followed:
            raise MissingReferenceError(sequence - 1, 'which is not here')
        self.followed.append(sequence)

    def decode(self, packet: Packet, *, references: Any, generate: bool | None, **words: Any
               ) -> Any:
        """As SemanticDecoder.decode."""
        self.follow(packet, references)
        self.asked.append(generate)
        return SimpleNamespace(plain=picture(1), picture=picture(1), regenerated=None,
                               caption='what was there before', objects=[])


def test_decoder_follows_and_asks_for_what_it_misses(start, monkeypatch):
    """Without subscribers packets are followed; what stays missing brings one request a second."""
    monkeypatch.setattr('gsc_ros.receiver.PATIENCE_NS', 0)
    monkeypatch.setitem(sys.modules, 'gsc_ros.decoder',
                        SimpleNamespace(SemanticDecoder=StandInDecoder))
    bench = start(streams='["x/image_raw/gsc"]', reliability='reliable', depth='50')
    node = bench.add(DecoderNode())
    assert node.autostart()
    frames = bench.probe.create_publisher(SemanticFrame, '/x/image_raw/gsc', output_qos(50))
    requests = bench.listen(StreamRequest, '/x/image_raw/gsc/request')
    counters, = node.counters()
    bench.until(lambda: frames.get_subscription_count() and node.count_subscribers(
        '/x/image_raw/gsc/request'))

    def send(*sequences: int) -> None:
        for sequence in sequences:
            frames.publish(SemanticFrame(data=pack(Packet(
                CoderId.HEVC, 64, 48, 1, 0, 0, sequence, None, b'', b'', b'x'))))

    send(0, 1, 2)
    bench.until(lambda: StandInDecoder.followed == [0, 1, 2])
    assert counters.get('decoded') == 0
    send(4, 5, 6)
    bench.until(lambda: counters.get('missing_references') == 3)
    bench.until(lambda: requests)
    assert [request.kind for request in requests] == [StreamRequest.REFRESH]
    assert (counters.get('lost'), counters.get('bad_packets')) == (1, 0)
    captions = bench.listen(String, '/x/decoded/caption')
    bench.until(lambda: node.count_subscribers('/x/decoded/caption'))
    send(100)
    bench.until(lambda: captions)
    assert captions[0].data == 'what was there before'
    assert counters.get('refresh_requests') == 1


def test_decoder_shows_plain_pictures_while_the_generator_loads(start, monkeypatch):
    """An operator who restarts the node sees something at once."""
    monkeypatch.setitem(sys.modules, 'gsc_ros.decoder',
                        SimpleNamespace(SemanticDecoder=StandInDecoder))
    bench = start(streams='["x/image_raw/gsc"]', reliability='reliable')
    StandInDecoder.may_load.clear()
    node = bench.add(DecoderNode())
    assert node.autostart()
    frames = bench.probe.create_publisher(SemanticFrame, '/x/image_raw/gsc', output_qos())
    pictures = bench.listen(Image, '/x/decoded/image_raw')
    bench.until(lambda: frames.get_subscription_count() and node.count_subscribers(
        '/x/decoded/image_raw'))
    frame = SemanticFrame(data=pack(Packet(CoderId.HEVC, 64, 48, 1, 0, 0, 0, None, b'', b'',
                                           b'x')))
    bench.until(lambda: pictures, lambda: frames.publish(frame))
    assert set(StandInDecoder.asked) == {False}
    StandInDecoder.may_load.set()
    bench.until(lambda: None in StandInDecoder.asked, lambda: frames.publish(frame))


def test_decoder_does_not_show_what_was_overtaken(start, monkeypatch):
    """A packet that comes after a newer one is followed; a restarted encoder is shown at once."""
    monkeypatch.setitem(sys.modules, 'gsc_ros.decoder',
                        SimpleNamespace(SemanticDecoder=StandInDecoder))
    monkeypatch.setattr(StandInDecoder, 'follow', lambda decoder, packet, references:
                        decoder.followed.append(packet.sequence))
    bench = start(streams='["x/image_raw/gsc"]', reliability='reliable', depth='50')
    node = bench.add(DecoderNode())
    assert node.autostart()
    frames = bench.probe.create_publisher(SemanticFrame, '/x/image_raw/gsc', output_qos(50))
    captions = bench.listen(String, '/x/decoded/caption')
    counters, = node.counters()
    bench.until(lambda: frames.get_subscription_count() and node.count_subscribers(
        '/x/decoded/caption'))

    def send(second: int, sequence: int) -> None:
        frame = SemanticFrame(data=pack(Packet(
            CoderId.HEVC, 64, 48, 1, 0, 0, sequence, None, b'', b'', b'x')))
        frame.header.stamp.sec = second
        handled = counters.get('packets')
        frames.publish(frame)
        bench.until(lambda: counters.get('packets') > handled and len(
            StandInDecoder.followed) == 1 + handled)

    for second, sequence in ((5, 105), (7, 107), (6, 106), (8, 108)):
        send(second, sequence)
    assert (counters.get('late'), counters.get('decoded')) == (1, 3)
    send(9, 106)        # a new count
    assert (counters.get('late'), counters.get('decoded')) == (1, 4)
    bench.until(lambda: len(captions) == 4)


def test_decoder_says_that_the_generator_failed_and_tries_again(start, monkeypatch):
    """The status warns; later attempts may work, as on a GPU that was full."""
    def preload(decoder: StandInDecoder) -> None:
        attempts.append(decoder)
        if len(attempts) == 1:
            raise RuntimeError('no memory')
        decoder.ready = True

    attempts = []
    monkeypatch.setitem(sys.modules, 'gsc_ros.decoder',
                        SimpleNamespace(SemanticDecoder=StandInDecoder))
    monkeypatch.setattr(StandInDecoder, 'preload', preload)
    monkeypatch.setattr(decoder_node, 'RELOAD_PERIOD_S', 0.0)
    bench = start(streams='["x/image_raw/gsc"]', reliability='reliable')
    node = bench.add(DecoderNode())
    assert node.autostart()
    counters, = node.counters()
    bench.until(lambda: counters.get('errors'))
    status = counters.status('n')
    assert status.level == DiagnosticStatus.WARN
    assert {v.key: v.value for v in status.values}['generator'] == 'failed'
    frames = bench.probe.create_publisher(SemanticFrame, '/x/image_raw/gsc', output_qos())
    bench.listen(Image, '/x/decoded/image_raw')
    frame = SemanticFrame(data=pack(Packet(CoderId.HEVC, 64, 48, 1, 0, 0, 0, None, b'', b'',
                                           b'x')))
    bench.until(lambda: None in StandInDecoder.asked, lambda: frames.publish(frame))
    values = {v.key: v.value for v in counters.status('n').values}
    assert values['generator'] == 'ready' and len(attempts) == 2


class StandInDetector:
    """Finds one person, always."""

    name = 'stand-in'
    found = (SceneObject(0, 0.75, (0.25, 0.25, 0.5, 0.75)),)

    def detect(self, shown: np.ndarray) -> list[SceneObject]:
        """As Detector.detect."""
        return list(self.found)


def test_detector_is_lazy_and_publishes_beside_the_picture(start, monkeypatch):
    """It takes pictures only while somebody wants the results."""
    monkeypatch.setitem(sys.modules, 'gsc_ros.scene.detector', SimpleNamespace(
        load_detector=lambda **words: StandInDetector()))
    bench = start(images='["x/image_raw"]', max_rate='50.0')
    node = bench.add(DetectorNode())
    assert node.autostart()
    source = bench.probe.create_publisher(Image, '/x/image_raw', output_qos())
    looks: list[int] = []
    node.create_timer(0.3, lambda: looks.append(1))
    bench.until(lambda: len(looks) >= 4)
    assert source.get_subscription_count() == 0
    objects = bench.listen(ObjectArray, '/x/detected_objects')
    overlays = bench.listen(Image, '/x/overlay')
    msg = image_from_picture(picture(50), Header(frame_id='f'))
    bench.until(lambda: objects and overlays, lambda: source.publish(msg))
    found, = objects[-1].objects
    assert (found.class_name, found.score) == ('person', 0.75)
    assert (found.x_min, found.y_min, found.x_max, found.y_max) == (16.0, 12.0, 32.0, 36.0)
    assert objects[-1].header.frame_id == overlays[-1].header.frame_id == 'f'
    assert np.array_equal(picture_from_image(overlays[-1]),
                          draw_objects(picture(50), StandInDetector.found))
