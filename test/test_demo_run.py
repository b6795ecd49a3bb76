"""The demonstration as a user runs it: real processes, real topics, real packets."""
from __future__ import annotations

import json
import os
from pathlib import Path
import re

import av
from demo_bag import DemoBag, packet, SECOND
from gsc_ros import cli
from gsc_ros.codec.errors import CheckpointError
from gsc_ros.demo import session
from gsc_ros.demo.options import DemoOptions
from gsc_ros.demo.recording import BAG_FOLDER, VIEWS
from gsc_ros.demo.session import DemoError, run_demo
from gsc_ros.runtime.processes import ProcessGroup
from gsc_ros.runtime.specs import NodeSpec
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('gsc_msgs.msg')

PATIENCE_S = 120.0   # a busy machine imports torch in tens of seconds


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a square that moves."""
    path = tmp_path_factory.mktemp('video') / 'square.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 192, 128, 'yuv420p'
        for i in range(20):
            picture = np.full((128, 192, 3), (40, 90, 60), np.uint8)
            picture[40:80, 5 * i:5 * i + 40] = (230, 200, 20)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode(None))
    return path


def options(source: str, output: Path, **changes: object) -> DemoOptions:
    values = {'kbps': 12.0, 'seconds': 4.0, 'coder': 'hevc', 'detector': 'none', **changes}
    return DemoOptions(source, output, **values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_pictures_cross_the_link(video: Path, tmp_path: Path) -> None:
    try:
        from gsc_ros.decoder import SemanticDecoder
        SemanticDecoder()
    except CheckpointError as error:
        pytest.skip(str(error))
    stats = run_demo(options(str(video), tmp_path / 'out', startup_s=PATIENCE_S))
    out = tmp_path / 'out'
    assert json.loads((out / 'stats.json').read_text()) == stats
    assert stats['pictures_sent'] >= stats['pictures_received'] >= stats['pictures_decoded'] >= 1
    assert (stats['width'], stats['height']) == (192, 128)
    # the budget is counted where packets are handed to the link
    assert stats['sent']['kbps_max_1s_wire'] <= 12 * 1.05
    assert stats['latency_s']['median'] > 0
    found = re.search(r'^const DATA = (.*);$', (out / 'index.html').read_text(), re.M)
    assert found
    lines = json.loads(found[1])['pictures']
    decoded = [line for line in lines if set(line['files']) == set(VIEWS)]
    assert decoded
    picture = av.open(str(out / decoded[0]['files']['plain'])).streams.video[0]
    assert (picture.width, picture.height) == (192, 128)
    with av.open(str(out / 'demo.mp4')) as film:
        assert sum(1 for _ in film.decode(video=0)) == len(lines) + 1
    _check_bag(out, lines)


def _check_bag(out: Path, lines: list[dict[str, object]]) -> None:
    """Packets of the bag are the received ones and can be read."""
    from gsc_ros.codec.bitstream import unpack
    from rosbags.highlevel import AnyReader
    with AnyReader([out / BAG_FOLDER]) as reader:
        packets = [bytes(reader.deserialize(data, connection.msgtype).data)  # type: ignore[attr-defined]
                   for connection, _, data in reader.messages()
                   if connection.topic == '/base/camera/image_raw/gsc']
    sizes = [len(packet) for packet in packets]
    assert {line['bytes'] for line in lines} <= set(sizes)
    whole = [packet for packet in map(unpack, packets) if packet.version == 1]
    assert whole and all((p.width, p.height) == (192, 128) for p in whole)


@pytest.mark.parametrize('arguments', [
    ['--input', 'nowhere.mp4'], ['--input', 'topic:'], ['--seconds', '0']])
def test_a_wrong_start_is_exit_code_1(arguments: list[str], video: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    source = [] if '--input' in arguments else ['--input', str(video)]
    code = cli.main(['demo', '--output', str(tmp_path / 'out'), *source, *arguments])
    assert code == 1
    assert capsys.readouterr().err.startswith('gsc: error: ')
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_nothing_arrives_is_an_error_with_the_logs(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    with pytest.raises(DemoError, match='gsc_') as caught:
        run_demo(options('topic:/nobody/image_raw', tmp_path / 'out', startup_s=3.0))
    assert 'gsc_encoder' in str(caught.value)


def test_ctrl_c_ends_the_run_and_not_the_page(video: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(options: DemoOptions, *_: object) -> None:
        with DemoBag(options.output) as bag:
            bag.whole(SECOND, packet(), 40)
        raise KeyboardInterrupt
    monkeypatch.setattr(session, 'node_specs', lambda options: [])
    monkeypatch.setattr(session, 'player_spec', lambda options: [])
    monkeypatch.setattr(session, '_watch', watch)
    stats = run_demo(options(str(video), tmp_path))
    assert stats['pictures_decoded'] == 1
    assert (tmp_path / 'index.html').is_file()


def run_player(params: dict[str, object], folder: Path) -> tuple[int | None, str]:
    group = ProcessGroup([NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params=params)],
                         log_dir=folder)
    with group:
        codes = group.wait(PATIENCE_S)
    return codes['gsc_player'], group.tail('gsc_player')


def test_player_ends_with_its_input(video: Path, tmp_path: Path) -> None:
    code, log = run_player({'input': str(video), 'rate': 20.0}, tmp_path)
    assert code == 0, log
    assert 'playing has ended' in log


@pytest.mark.parametrize('name', ['absent.mp4', 'broken.mp4', ''])
def test_player_names_a_wrong_input(name: str, tmp_path: Path) -> None:
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    source = str(tmp_path / name) if name else ''
    code, log = run_player({'input': source, 'loop': True}, tmp_path / 'logs')
    assert code == 1, log
    assert 'configure failed' in log
    assert (name or 'input') in log


def test_player_publishes_stamped_pictures(video: Path, tmp_path: Path) -> None:
    from gsc_ros.media.images import picture_from_image
    from gsc_ros.nodes.qos import input_qos
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import CameraInfo, Image
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('viewer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    pictures: list[Image] = []
    infos: list[CameraInfo] = []
    node.create_subscription(Image, '/eye/image', pictures.append, input_qos('reliable', 50))
    node.create_subscription(CameraInfo, '/eye/camera_info', infos.append,
                             input_qos('reliable', 50))
    group = ProcessGroup([NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params={
        'input': str(video), 'topic': '/eye/image', 'loop': True, 'max_width': 96})],
        log_dir=tmp_path)
    with group:
        deadline = node.get_clock().now().nanoseconds + int(PATIENCE_S * 1e9)
        while len(pictures) < 25 or len(infos) < 25:   # 20 a round: it has started again
            executor.spin_once(timeout_sec=0.5)
            assert node.get_clock().now().nanoseconds < deadline, group.tail('gsc_player')
    stamps = [m.header.stamp.sec * 10 ** 9 + m.header.stamp.nanosec for m in pictures]
    assert stamps == sorted(set(stamps))
    assert picture_from_image(pictures[0]).shape == (64, 96, 3)
    assert (infos[0].width, infos[0].height) == (96, 64)
    assert pictures[0].header.frame_id == 'camera_optical'
    node.destroy_node()
    rclpy.shutdown(context=context)


