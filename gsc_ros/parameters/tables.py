"""The parameters of every node: the one place where a default stands."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsc_ros.budget.plan import LATENCY_S
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.regions import STRENGTH, STRONGEST
from gsc_ros.coders import NAMES as CODERS
from gsc_ros.parameters.common import check_unique, INPUT, NODE
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT
from gsc_ros.parameters.parameter import Parameter, Table
from gsc_ros.parameters.player import PLAYER, RECORDER
from gsc_ros.scene.change import DEFAULT_THRESHOLD


def _check_encoder(values: Mapping[str, Any]) -> None:
    if values['min_bytes'] > values['max_bytes']:
        raise InvalidInputError('min_bytes', values['min_bytes'],
                                f'at most max_bytes={values["max_bytes"]}')
    check_unique('cameras', values['cameras'])
    if len(values['priorities']) not in (1, len(values['cameras'])):
        raise InvalidInputError('priorities', values['priorities'],
                                f'one for all or one for each of {values["cameras"]}')


ENCODER = Table((
    *NODE,
    *INPUT,
    Parameter('cameras', 'str_list', ['camera/image_raw'],
              'Base topics of the cameras; packets go to <camera>/gsc.'),
    Parameter('transport', 'str', 'raw',
              'raw: sensor_msgs/Image on <camera>; compressed: CompressedImage on '
              '<camera>/compressed.', choices=('raw', 'compressed')),
    Parameter('coder', 'str', 'auto', 'Picture coder; auto takes the better one for the bytes.',
              choices=CODERS),
    Parameter('device', 'str', 'cpu', 'torch device of coder, detector and captioner.'),
    Parameter('max_width', 'int', 1280, 'Wider pictures are scaled down to this [pixels].',
              16, 4096),
    Parameter('bytes_per_second', 'int', 1000,
              'Most bytes on the wire in any second, all cameras together, overhead_bytes per '
              'packet counted; 1000 fit 8 kbit/s.', 20, 100_000_000, runtime=True),
    Parameter('overhead_bytes', 'int', 28,
              'Bytes that the link adds to each packet (IPv4 and UDP headers: 28).', 0, 1000,
              runtime=True),
    Parameter('max_rate', 'float', 10.0, 'Most pictures per second of one camera.', 0.01, 60.0,
              runtime=True),
    Parameter('min_bytes', 'int', 60,
              'Least bytes to plan for a packet: below it fewer pictures, not smaller ones.',
              40, 65535, runtime=True),
    Parameter('max_bytes', 'int', 65535, 'Most bytes of one packet.', 100, 65535, runtime=True),
    Parameter('latency', 'float', LATENCY_S,
              'Most seconds that the link may take for one packet, unless min_bytes take longer.',
              0.05, 60.0, runtime=True),
    Parameter('priorities', 'float_list', [1.0],
              'Weight of each camera when they share bytes_per_second; one value: all equal.',
              0.01, 100.0),
    Parameter('caption_source', 'str', 'scene',
              'none, scene (detected objects and scene words), or a transformers image-to-text '
              'model (hub id or folder).'),
    Parameter('detector', 'str', 'auto',
              'none, auto (the default detector), or a YOLO weight file or name.'),
    Parameter('detector_confidence', 'float', 0.25, 'Least score of a detected object.', 0.0, 1.0),
    Parameter('max_objects', 'int', 8, 'Most objects in one packet, best first (5 bytes each).',
              0, 50, runtime=True),
    Parameter('focus', 'float', STRENGTH,
              'How far all but the objects, or the region that an operator asked for, is smoothed '
              'in their favour [pixels of the coded picture]; 0: not at all.', 0.0, STRONGEST,
              runtime=True),
    Parameter('scene_period', 'float', 2.0,
              'Least seconds between two runs of detector and captioner on a camera.', 0.1, 3600.0,
              runtime=True),
    Parameter('scene_change', 'float', DEFAULT_THRESHOLD,
              'Mean change of a 16x12 grey thumbnail that calls for a new caption [grey levels].',
              0.0, 255.0, runtime=True),
    Parameter('scene_refresh', 'float', 5.0,
              'Seconds after which caption and objects are renewed without a change.', 0.1, 3600.0,
              runtime=True),
    Parameter('seed', 'int', 0, 'Noise seed that the packets carry.', 0, 255, runtime=True),
    Parameter('temporal', 'bool', True,
              'Code what has changed since a picture that the base station has acknowledged; '
              'without a link node every packet stands alone.', runtime=True),
), _check_encoder)

DECODER = Table((
    *NODE,
    *INPUT,
    Parameter('streams', 'str_list', ['base/camera/image_raw/gsc'],
              'SemanticFrame topics; each ends in /gsc.'),
    Parameter('generate', 'str', 'auto',
              'Regenerate pictures: auto at rates where it helps, always, or never. Until the '
              'model is loaded, plain ones are shown.',
              choices=('auto', 'always', 'never'), runtime=True),
    Parameter('steps', 'int', 0, 'Sampling steps; 0 takes the default of the model.', 0, 64,
              runtime=True),
    Parameter('seed', 'int', -1, 'Noise seed; -1 takes the one in the packet.', -1, 255,
              runtime=True),
    Parameter('crispness', 'float', -1.0,
              'From faithful, 0 (the plain picture), to crisp, 1 (all that was made); -1 takes '
              'the default of the model.', -1.0, 1.0, runtime=True),
    Parameter('max_pixels', 'int', 2_100_000,
              'Packets of larger pictures are dropped: a few bytes may claim any size.',
              256, 16_777_216),
    Parameter('generate_pixels', 'int', 1_000_000,
              'Larger pictures are never regenerated, so that other streams need not wait.',
              0, 16_777_216, runtime=True),
    Parameter('device', 'str', 'cpu', 'torch device of the decoder.'),
    Parameter('prior', 'str', 'embedded',
              'embedded, or the folder or hub id of a diffusers model (docs/PRIORS.md).'),
), lambda values: check_unique('streams', values['streams']))

DETECTOR = Table((
    *NODE,
    *INPUT,
    Parameter('images', 'str_list', ['base/camera/decoded/image_raw'],
              'Image topics to analyse; results go beside them.'),
    Parameter('detector', 'str', 'auto', 'auto (the default detector), or a YOLO weight file or '
              'name.'),
    Parameter('confidence', 'float', 0.25, 'Least score of a detected object.', 0.0, 1.0),
    Parameter('device', 'str', 'cpu', 'torch device of the detector.'),
    Parameter('max_rate', 'float', 5.0, 'Most pictures per second, all topics together.', 0.01,
              60.0, runtime=True),
), lambda values: check_unique('images', values['images']))

LINK = Table((
    *NODE,
    *INPUT,
    Parameter('streams', 'str_list', ['camera/image_raw/gsc'],
              'SemanticFrame topics to carry; their StreamInfo goes along.'),
    Parameter('prefix', 'str', 'base', 'Where the streams come out: <prefix>/<stream>.'),
    Parameter('kbps', 'float', 8.0, 'Speed of the link [1000 bit/s].', 0.1, 1_000_000.0,
              runtime=True),
    Parameter('overhead_bytes', 'int', 28, 'Bytes that the link adds to each packet.', 0, 1000,
              runtime=True),
    Parameter('delay_ms', 'float', 0.0, 'Propagation delay [ms].', 0.0, 60_000.0, runtime=True),
    Parameter('loss', 'float', 0.0, 'Probability that a packet is lost.', 0.0, 1.0, runtime=True),
    Parameter('seed', 'int', 0, 'Seed of the losses.', 0, 2**31 - 1),
    Parameter('queue_bytes', 'int', 3000,
              'Most bytes that wait for the link; the oldest packets give way.', 0, 10_000_000,
              runtime=True),
), lambda values: check_unique('streams', values['streams']))

TABLES = {
    'encoder': ENCODER, 'decoder': DECODER, 'detector': DETECTOR, 'link': LINK,
    'link_robot': LINK_ROBOT, 'link_base': LINK_BASE, 'player': PLAYER, 'recorder': RECORDER,
}
