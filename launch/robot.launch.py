"""The robot's side: cameras in, packets out, over the thin link where one is named."""

from gsc_ros.nodes.launching import describe
from gsc_ros.parameters.sides import camera_remaps, link_params, robot_specs

ARGUMENTS = {
    'image_topic': ('camera/image_raw',
                    'Where the camera camera/image_raw of the parameter file comes from'),
    'camera_info_topic': ('camera/camera_info', 'Where its camera/camera_info comes from'),
    'link': ('', 'URL of the link to the base station, such as udp://HOST:47400; params: the one '
                 'of the parameter file; empty: no link node, packets stay topics'),
    'key_file': ('', 'File with the pre-shared key of the link'),
}


def generate_launch_description():
    """Start encoder and link node; they configure and activate themselves by default."""
    return describe('robot.yaml', ARGUMENTS, _specs)


def _specs(values):
    return robot_specs(
        values['params_file'], namespace=values['namespace'],
        link=link_params(values['link'], values['key_file']),
        remaps=camera_remaps(values['image_topic'], values['camera_info_topic']))
