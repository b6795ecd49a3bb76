"""The messages have the fields that the nodes and recorded bags rely on."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
messages = pytest.importorskip('gsc_msgs.msg')

FIELDS = {
    'SemanticFrame': {'header': 'std_msgs/Header', 'data': 'sequence<uint8>'},
    'StreamInfo': {
        'header': 'std_msgs/Header', 'coder': 'string', 'fingerprint': 'uint16',
        'width': 'uint32', 'height': 'uint32', 'max_rate': 'float', 'bytes_per_second': 'uint32',
        'max_bytes': 'uint32', 'camera_info': 'sensor_msgs/CameraInfo'},
    'Object': {
        'class_name': 'string', 'class_id': 'uint8', 'score': 'float',
        'x_min': 'float', 'y_min': 'float', 'x_max': 'float', 'y_max': 'float'},
    'ObjectArray': {
        'header': 'std_msgs/Header', 'width': 'uint32', 'height': 'uint32',
        'objects': 'sequence<gsc_msgs/Object>'},
}


@pytest.mark.parametrize('name', FIELDS)
def test_fields(name):
    assert getattr(messages, name).get_fields_and_field_types() == FIELDS[name]


def test_a_packet_survives_serialisation():
    from rclpy.serialization import deserialize_message, serialize_message
    packet = bytes(range(256))
    frame = messages.SemanticFrame(data=packet)
    frame.header.frame_id = 'camera_optical_frame'
    back = deserialize_message(serialize_message(frame), messages.SemanticFrame)
    assert bytes(back.data) == packet
    assert back.header.frame_id == 'camera_optical_frame'
