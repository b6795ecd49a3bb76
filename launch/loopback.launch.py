"""Robot, emulated thin link and base station on one machine."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Start encoder, link, decoder and detector, and RViz if wanted."""
    arguments = [
        DeclareLaunchArgument(
            'params_file', description='ROS parameter file of the nodes',
            default_value=PathJoinSubstitution(
                [FindPackageShare('gsc_ros'), 'config', 'loopback.yaml'])),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the nodes'),
        DeclareLaunchArgument(
            'image_topic', default_value='camera/image_raw',
            description='Where the camera camera/image_raw of the parameter file comes from'),
        DeclareLaunchArgument(
            'camera_info_topic', default_value='camera/camera_info',
            description='Where its camera/camera_info comes from'),
        DeclareLaunchArgument(
            'kbps', default_value='',
            description='Speed of the link and budget of the encoder, in 1000 bit/s; empty '
                        'leaves both to the parameter file'),
        DeclareLaunchArgument(
            'detector', default_value='true', description='Start the detector node'),
        DeclareLaunchArgument(
            'rviz', default_value='false', description='Show the pictures in RViz'),
        DeclareLaunchArgument(
            'log_level', default_value='info', description='debug, info, warn or error'),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])


def _nodes(context):
    # Resolved here, because an empty kbps must set nothing at all.
    kbps = LaunchConfiguration('kbps').perform(context)
    budget = [{'bytes_per_second': int(float(kbps) * 125)}] if kbps else []
    speed = [{'kbps': float(kbps)}] if kbps else []
    params_file = LaunchConfiguration('params_file')
    image = LaunchConfiguration('image_topic')
    common = {
        'package': 'gsc_ros', 'namespace': LaunchConfiguration('namespace'), 'output': 'screen',
        'arguments': ['--ros-args', '--log-level', LaunchConfiguration('log_level')]}
    return [
        LifecycleNode(
            executable='encoder_node', name='gsc_encoder', parameters=[params_file, *budget],
            remappings=[('camera/image_raw', image),
                        ('camera/image_raw/compressed', [image, '/compressed']),
                        ('camera/camera_info', LaunchConfiguration('camera_info_topic'))],
            **common),
        LifecycleNode(
            executable='link_node', name='gsc_link', parameters=[params_file, *speed], **common),
        LifecycleNode(
            executable='decoder_node', name='gsc_decoder', parameters=[params_file], **common),
        LifecycleNode(
            executable='detector_node', name='gsc_detector', parameters=[params_file],
            condition=IfCondition(LaunchConfiguration('detector')), **common),
        Node(
            package='rviz2', executable='rviz2', name='gsc_rviz',
            namespace=LaunchConfiguration('namespace'),
            arguments=['-d', PathJoinSubstitution(
                [FindPackageShare('gsc_ros'), 'rviz', 'base_station.rviz'])],
            condition=IfCondition(LaunchConfiguration('rviz'))),
    ]
