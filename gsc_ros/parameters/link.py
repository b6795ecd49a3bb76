"""The parameters of the two ends of the link."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.common import check_unique, INPUT, NODE
from gsc_ros.parameters.parameter import Parameter, Table

MAX_STREAMS = 16
ROBOT_ADDRESS, BASE_ADDRESS = '127.0.0.1:47401', '127.0.0.1:47400'


def _check_robot(values: Mapping[str, Any]) -> None:
    check_unique('streams', values['streams'])
    if len(values['streams']) > MAX_STREAMS:
        raise InvalidInputError('streams', values['streams'], f'at most {MAX_STREAMS}')


def _link(remote: str, bind: str) -> Parameter:
    return Parameter(
        'link', 'str', f'udp://{remote}?bind={bind}',
        'The other end: udp://HOST:PORT?bind=HOST:PORT, serial:///dev/ttyUSB0?baud=57600 or '
        'zenoh://HOST:PORT?key=gsc/link.')


_MTU = Parameter('mtu', 'int', 1200,
                 'Most bytes of one datagram, link header included; longer packets go in '
                 'fragments.', 64, 1500)
_KEY_FILE = Parameter('key_file', 'str', '',
                      'File with the pre-shared key of 32 bytes (raw, hex or base64) that only '
                      'its owner may read; empty: neither encrypted nor authenticated.')

LINK_ROBOT = Table((
    *NODE,
    *INPUT,
    Parameter('streams', 'str_list', ['camera/image_raw/gsc'],
              'SemanticFrame topics to carry, at most 16; their StreamInfo goes along.'),
    _link(BASE_ADDRESS, ROBOT_ADDRESS),
    _MTU,
    _KEY_FILE,
    Parameter('bytes_per_second', 'int', 1000,
              'Most bytes on the wire in any second, all headers included; 1000 fit 8 kbit/s.',
              128, 100_000_000),
    Parameter('adapt', 'bool', True,
              'Send less than bytes_per_second while delay and loss tell of a thinner link.'),
    Parameter('floor', 'float', 0.2,
              'Least share of bytes_per_second that adapt goes to; it starts there.', 0.01, 1.0),
    Parameter('fec', 'str', 'off',
              'Forward error correction across the fragments of a packet: adaptive to the loss, '
              'always, or never.', choices=('off', 'on', 'adaptive')),
    Parameter('stale', 'float', 3.0, 'A packet that has waited longer is not sent [s].', 0.1,
              60.0),
), _check_robot)

LINK_BASE = Table((
    *NODE,
    _link(ROBOT_ADDRESS, BASE_ADDRESS),
    _MTU,
    _KEY_FILE,
    Parameter('prefix', 'str', 'base', 'Where the streams come out: <prefix>/<stream>.'),
    Parameter('bytes_per_second', 'int', 500,
              'Most bytes on the wire in any second, towards the robot.', 128, 100_000_000),
    Parameter('report_period', 'float', 0.25,
              'Seconds between two reports to the robot, about 60 bytes each; longer periods cost '
              'less and let the robot adapt later.',
              0.05, 10.0),
))
