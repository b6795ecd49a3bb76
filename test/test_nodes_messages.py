"""Camera facts and objects as ROS messages."""
from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('gsc_msgs.msg')

from gsc_ros.codec.errors import InvalidInputError  # noqa: E402
from gsc_ros.nodes.messages import object_array, scale_camera_info  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from std_msgs.msg import Header  # noqa: E402


def test_camera_info_of_region_and_binning() -> None:
    """A region of interest fills the picture; binning is part of the scale."""
    info = CameraInfo(width=1000, height=800, binning_x=2, binning_y=2)
    info.k = [900.0, 0.0, 500.0, 0.0, 900.0, 400.0, 0.0, 0.0, 1.0]
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 200, 400, 200
    scaled = scale_camera_info(info, 200, 100, Header(frame_id='f'))
    assert (scaled.width, scaled.height, scaled.binning_x) == (500, 400, 0)
    assert list(scaled.k) == [450.0, 0.0, 250.0, 0.0, 450.0, 200.0, 0.0, 0.0, 1.0]
    roi = scaled.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (50, 100, 200, 100)
    assert scaled.header.frame_id == 'f'
    assert info.k[0] == 900.0


def test_projection_of_a_stereo_camera() -> None:
    """
    Row 0 of P is in columns and row 1 in rows of the picture, the baseline's terms too.

    sensor_msgs/CameraInfo: P[3] is Tx = -fx' * B of a horizontal pair, P[7] is Ty of a vertical
    one, so the baseline Tx / fx' does not depend on the picture's size.
    """
    info = CameraInfo(width=800, height=600)
    info.p = [400.0, 0.0, 390.0, -48.0, 0.0, 420.0, 300.0, -21.0, 0.0, 0.0, 1.0, 0.0]
    scaled = scale_camera_info(info, 400, 150, Header())
    assert list(scaled.p) == [
        200.0, 0.0, 195.0, -24.0, 0.0, 105.0, 75.0, -5.25, 0.0, 0.0, 1.0, 0.0]


def test_distortion_and_rotation_do_not_depend_on_size() -> None:
    info = CameraInfo(width=800, height=600, d=[0.1, -0.2, 0.0, 0.0, 0.3])
    info.r = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    scaled = scale_camera_info(info, 80, 60, Header())
    assert list(scaled.d) == [0.1, -0.2, 0.0, 0.0, 0.3]
    assert list(scaled.r) == list(info.r)


def test_camera_info_without_calibration() -> None:
    unknown = scale_camera_info(CameraInfo(), 64, 48, Header())
    assert (unknown.width, unknown.height, unknown.k[0]) == (64, 48, 0.0)
    with pytest.raises(InvalidInputError, match='camera_info size'):
        scale_camera_info(CameraInfo(width=8, height=8), 0, 48, Header())


def test_object_array_of_nothing() -> None:
    """No objects is an empty list with the picture's size."""
    array = object_array([], 64, 48, Header())
    assert (array.width, array.height, len(array.objects)) == (64, 48, 0)
