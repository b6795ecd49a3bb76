"""The parameters of the player and the recorder."""
from __future__ import annotations

from gsc_ros.media.sources import DEFAULT_FOLDER_RATE
from gsc_ros.parameters.common import NODE
from gsc_ros.parameters.parameter import Parameter, Table

PLAYER = Table((
    *NODE,
    Parameter('input', 'str', '',
              'Video file, picture, folder of pictures or rosbag2 bag to play; must be set.'),
    Parameter('bag_topic', 'str', '', 'Image topic of the bag; empty: its first one.'),
    Parameter('topic', 'str', 'camera/image_raw',
              'Camera topic to publish; camera_info goes beside it.'),
    Parameter('rate', 'float', 0.0,
              'Most pictures per second, the pace is kept; 0: as many as the input has '
              f'({DEFAULT_FOLDER_RATE:g} for a folder).', 0.0, 120.0),
    Parameter('loop', 'bool', False, 'Start again at the end; otherwise the node ends.'),
    Parameter('compressed', 'bool', False,
              'Publish JPEG CompressedImages on <topic>/compressed instead of raw pictures.'),
    Parameter('max_width', 'int', 1280, 'Wider pictures are scaled down to this [pixels].',
              16, 4096),
    Parameter('frame_id', 'str', 'camera_optical', 'frame_id of the pictures.'),
))

RECORDER = Table((
    *NODE,
    Parameter('camera', 'str', 'camera/image_raw', 'Base topic of the camera on the robot.'),
    Parameter('compressed', 'bool', False, 'The camera sends CompressedImages.'),
    Parameter('reliability', 'str', 'reliable',
              'QoS reliability of the camera; ours is reliable, a live one may be best_effort.',
              choices=('best_effort', 'reliable')),
    Parameter('prefix', 'str', 'base', 'Where the link delivers: <prefix>/<camera>/gsc.'),
    Parameter('folder', 'str', '', 'Where the bag goes; must be set.'),
    Parameter('original', 'str', 'recorder/camera/image_raw',
              'Topic on which the originals of received pictures are shown to the detector.'),
    Parameter('memory', 'int', 100, 'Most camera pictures kept for matching [MB].', 1, 10000),
    Parameter('storage', 'str', 'mcap', 'Storage of the bag.',
              choices=('mcap', 'sqlite3')),
))
