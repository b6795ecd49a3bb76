"""A stream's facts: StreamInfo messages, latched, from and to what crosses the link."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsc_msgs.msg import StreamInfo
from gsc_ros.codec.bitstream import Packet
from gsc_ros.link.wire.stream_info import Calibration, InfoFacts
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class StreamInfoPublisher:
    """Publishes the facts of one camera's stream whenever they have changed."""

    def __init__(self, publisher: Publisher) -> None:
        self.camera_info = CameraInfo()
        self._publisher = publisher
        self._told: StreamInfo | None = None

    def publish(self, packet: Packet, header: Header, values: Mapping[str, Any]) -> None:
        """Tell of a packet that was made with the encoder's parameters ``values``."""
        # With coder auto packets of two models may alternate; facts about the stream must not.
        fingerprint = self._told.fingerprint if self._told else packet.fingerprint
        info = StreamInfo(
            coder=values['coder'], fingerprint=fingerprint, width=packet.width,
            height=packet.height, max_rate=values['max_rate'],
            bytes_per_second=values['bytes_per_second'], max_bytes=values['max_bytes'],
            camera_info=self.camera_info)
        if self._told is not None and _same(info, self._told):
            return
        info.header = header
        self._told = info
        self._publisher.publish(info)


def _same(new: StreamInfo, old: StreamInfo) -> bool:
    """Whether two infos differ in nothing but time stamps."""
    new.header = old.header
    new.camera_info.header.stamp = old.camera_info.header.stamp
    return bool(new == old)


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
