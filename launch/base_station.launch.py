"""The base station: packets in, pictures and detections out."""

from gsc_ros.nodes.launching import describe
from gsc_ros.parameters.sides import base_specs, link_params, stream_remaps

ARGUMENTS = {
    'stream_topic': ('base/camera/image_raw/gsc',
                     'Where the stream base/camera/image_raw/gsc of the parameter file comes '
                     'from'),
    'detector': ('true', 'Start the detector node'),
    'rviz': ('false', 'Show the pictures in RViz'),
    'link': ('', 'URL of the link to the robot, such as udp://?bind=:47400; params: the one of '
                 'the parameter file; empty: no link node, packets come as topics'),
    'key_file': ('', 'File with the pre-shared key of the link'),
}


def generate_launch_description():
    """Start decoder and detector, and link node and RViz if wanted."""
    return describe('base_station.yaml', ARGUMENTS, _specs)


def _specs(values):
    return base_specs(
        values['params_file'], namespace=values['namespace'],
        with_detector=values['detector'] == 'true',
        link=link_params(values['link'], values['key_file']),
        remaps=stream_remaps(values['stream_topic']))
