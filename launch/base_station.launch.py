"""The base station: packets in, pictures and detections out."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Start decoder and detector, and RViz if wanted."""
    share = FindPackageShare('gsc_ros')
    arguments = [
        DeclareLaunchArgument(
            'params_file', description='ROS parameter file of the nodes',
            default_value=PathJoinSubstitution([share, 'config', 'base_station.yaml'])),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the nodes'),
        DeclareLaunchArgument(
            'stream_topic', default_value='base/camera/image_raw/gsc',
            description='Where the stream base/camera/image_raw/gsc of the parameter file '
                        'comes from'),
        DeclareLaunchArgument(
            'detector', default_value='true', description='Start the detector node'),
        DeclareLaunchArgument(
            'rviz', default_value='false', description='Show the pictures in RViz'),
        DeclareLaunchArgument(
            'log_level', default_value='info', description='debug, info, warn or error'),
    ]
    common = {
        'package': 'gsc_ros', 'namespace': LaunchConfiguration('namespace'), 'output': 'screen',
        'parameters': [LaunchConfiguration('params_file')],
        'arguments': ['--ros-args', '--log-level', LaunchConfiguration('log_level')]}
    stream = LaunchConfiguration('stream_topic')
    nodes = [
        LifecycleNode(
            executable='decoder_node', name='gsc_decoder',
            remappings=[('base/camera/image_raw/gsc', stream),
                        ('base/camera/image_raw/gsc/info', [stream, '/info'])], **common),
        LifecycleNode(
            executable='detector_node', name='gsc_detector',
            condition=IfCondition(LaunchConfiguration('detector')), **common),
        Node(
            package='rviz2', executable='rviz2', name='gsc_rviz',
            namespace=LaunchConfiguration('namespace'),
            arguments=['-d', PathJoinSubstitution([share, 'rviz', 'base_station.rviz'])],
            condition=IfCondition(LaunchConfiguration('rviz'))),
    ]
    return LaunchDescription([*arguments, *nodes])
