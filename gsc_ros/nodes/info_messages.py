"""StreamInfo messages from and to the compact facts that cross the link."""
from __future__ import annotations

from gsc_msgs.msg import StreamInfo
from gsc_ros.link.wire.stream_info import Calibration, InfoFacts
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


def facts_from_info(msg: StreamInfo) -> InfoFacts:
    """Take the facts out of a message; a calibration of size 0 is unknown."""
    camera = msg.camera_info
    known = camera.width and camera.height
    return InfoFacts(msg.coder, msg.fingerprint, msg.width, msg.height, msg.max_rate,
                     msg.bytes_per_second, msg.max_bytes,
                     _calibration(camera) if known else None)


def info_from_facts(facts: InfoFacts, header: Header) -> StreamInfo:
    """Make a message; the calibration's frame is that of ``header``."""
    return StreamInfo(
        header=header, coder=facts.coder, fingerprint=facts.fingerprint, width=facts.width,
        height=facts.height, max_rate=facts.max_rate, bytes_per_second=facts.bytes_per_second,
        max_bytes=facts.max_bytes,
        camera_info=_camera_info(facts.calibration, header) if facts.calibration else CameraInfo())


def _calibration(camera: CameraInfo) -> Calibration:
    roi = camera.roi
    return Calibration(
        camera.width, camera.height, camera.distortion_model,
        tuple(map(float, camera.d)), tuple(map(float, camera.k)), tuple(map(float, camera.r)),
        tuple(map(float, camera.p)), (camera.binning_x, camera.binning_y),
        (roi.x_offset, roi.y_offset, roi.height, roi.width, int(roi.do_rectify)))


def _camera_info(known: Calibration, header: Header) -> CameraInfo:
    camera = CameraInfo(header=header, width=known.width, height=known.height,
                        distortion_model=known.distortion_model)
    for name in ('d', 'k', 'r', 'p'):
        setattr(camera, name, list(getattr(known, name)))
    camera.binning_x, camera.binning_y = known.binning
    roi = camera.roi
    roi.x_offset, roi.y_offset, roi.height, roi.width = known.region[:4]
    roi.do_rectify = bool(known.region[4])
    return camera
