"""The player with odd sources: it neither floods nor crashes, and ends when there is no more."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from bag_maker import header, IMAGE, make_bag, message, picture, STORE, TYPES
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

INFO = 'sensor_msgs/msg/CameraInfo'


def play(source: Path, *words: str) -> subprocess.Popen[str]:
    parameters = [p for word in (f'input:={source}', *words) for p in ('-p', word)]
    return subprocess.Popen([sys.executable, '-m', 'gsc_ros.nodes.player_node', '--ros-args',
                             *parameters], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def probe() -> Iterator[Node]:
    rclpy.init()
    node = rclpy.create_node('probe')
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def one_picture(folder: Path) -> Path:
    cv2.imwrite(str(folder / 'one.png'), picture(0))
    return folder / 'one.png'


def equal_stamps(folder: Path) -> Path:
    return make_bag(folder / 'bag', count=4, period_ns=0)


@pytest.mark.parametrize('source', [one_picture, equal_stamps])
def test_a_loop_without_times_does_not_flood(tmp_path: Path, probe: Node, source: Any) -> None:
    got: list[Any] = []
    probe.create_subscription(Image, 'camera/image_raw', got.append, 100)
    player = play(source(tmp_path), 'loop:=true', 'rate:=4.0')
    try:
        end = time.monotonic() + 60
        while not got and time.monotonic() < end:
            rclpy.spin_once(probe, timeout_sec=0.1)
        assert got
        got.clear()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            rclpy.spin_once(probe, timeout_sec=0.1)
        assert len(got) < 40   # eight are due; a flood has thousands
    finally:
        player.terminate()
        player.communicate(timeout=30)


@pytest.mark.parametrize('source', [one_picture, equal_stamps])
def test_the_end_is_no_failure(tmp_path: Path, source: Any) -> None:
    player = play(source(tmp_path), 'rate:=50.0')
    _, said = player.communicate(timeout=60)
    assert player.returncode == 0
    assert 'playing has ended' in said and 'Traceback' not in said


def test_bad_files_are_left_out_and_named(tmp_path: Path) -> None:
    for number in (1, 3):
        cv2.imwrite(str(tmp_path / f'{number}.png'), picture(number))
    (tmp_path / '2.png').write_bytes(b'no picture')
    player = play(tmp_path, 'rate:=50.0')
    _, said = player.communicate(timeout=60)
    assert player.returncode == 0
    assert '2.png' in said and 'playing has ended' in said


@pytest.mark.parametrize('loop', ['true', 'false'])
def test_nothing_to_play_is_a_failure(tmp_path: Path, loop: str) -> None:
    (tmp_path / '1.png').write_bytes(b'no picture')
    player = play(tmp_path, f'loop:={loop}')
    _, said = player.communicate(timeout=60)
    assert player.returncode == 1
    assert 'at least one readable picture' in said and 'Traceback' not in said


def test_region_and_binning_are_kept(tmp_path: Path, probe: Node) -> None:
    region = TYPES['sensor_msgs/msg/RegionOfInterest'](
        x_offset=40, y_offset=20, width=128, height=96, do_rectify=True)
    info = TYPES[INFO](
        header=header(0), height=480, width=640, distortion_model='plumb_bob', d=np.zeros(5),
        k=np.array([500.0, 0, 320, 0, 500, 240, 0, 0, 1]), r=np.eye(3).ravel(),
        p=np.array([500.0, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0]), binning_x=2, binning_y=2,
        roi=region)
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind, data in (
                ('/eye/camera_info', INFO, STORE.serialize_cdr(info, INFO)),
                ('/eye/image_raw', IMAGE, message(IMAGE, 0, picture(0)))):
            writer.write(writer.add_connection(topic, kind, typestore=STORE), 1, data)
    got: list[Any] = []
    probe.create_subscription(CameraInfo, 'camera/camera_info', got.append, 10)
    player = play(tmp_path / 'bag', 'loop:=true')
    try:
        end = time.monotonic() + 60
        while not got and time.monotonic() < end:
            rclpy.spin_once(probe, timeout_sec=0.1)
    finally:
        player.terminate()
        player.communicate(timeout=30)
    # the picture shows the region, 128x96 of the sensor, binned to 64x48
    shown = got[0]
    assert (shown.roi.width, shown.roi.height) == (64, 48)
    assert (shown.roi.x_offset, shown.roi.y_offset, shown.roi.do_rectify) == (20, 10, True)
    assert shown.k[0] == 250
