"""Robot, emulated radio and base station on one machine."""

from gsc_ros.nodes.launching import describe
from gsc_ros.parameters.sides import camera_remaps, free_ports, loopback_specs, RadioSettings

ARGUMENTS = {
    'image_topic': ('camera/image_raw',
                    'Where the camera camera/image_raw of the parameter file comes from'),
    'camera_info_topic': ('camera/camera_info', 'Where its camera/camera_info comes from'),
    'kbps': ('8', 'Speed of the radio, and so of encoder and link [1000 bit/s]'),
    'loss': ('0', 'Datagrams that the radio loses, each way [percent]'),
    'delay': ('0', 'Delay of the radio each way, beside the time that the bits take [ms]'),
    'burst': ('0', 'Mean length of the bursts in which they are lost; 0: each for itself [ms]'),
    'detector': ('true', 'Start the detector node'),
    'rviz': ('false', 'Show the pictures in RViz'),
}


def generate_launch_description():
    """Start encoder, both ends of the link, radio, decoder and detector, and RViz if wanted."""
    return describe('loopback.yaml', ARGUMENTS, _specs)


def _specs(values):
    radio = RadioSettings(kbps=float(values['kbps']), loss=float(values['loss']),
                          delay=float(values['delay']), burst=float(values['burst']))
    return loopback_specs(
        values['params_file'], namespace=values['namespace'], radio=radio, ports=free_ports(),
        with_detector=values['detector'] == 'true',
        remaps=camera_remaps(values['image_topic'], values['camera_info_topic']))
