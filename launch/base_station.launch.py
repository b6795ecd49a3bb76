"""The base station: packets in, pictures and detections out."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Start decoder and detector, and link node and RViz if wanted."""
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
            'link', default_value='',
            description='URL of the link to the robot, such as udp://?bind=:47400; params: '
                        'the one of the parameter file; empty: no link node, packets come as '
                        'topics'),
        DeclareLaunchArgument(
            'key_file', default_value='', description='File with the pre-shared key of the link'),
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
    return LaunchDescription([*arguments, *nodes, OpaqueFunction(function=_link)])


def _link(context):
    # Resolved here, because without a link there is no node, and what is empty must set nothing.
    link = LaunchConfiguration('link').perform(context)
    key_file = LaunchConfiguration('key_file').perform(context)
    if not link:
        return []
    url = [{'link': link}] if link != 'params' else []
    key = [{'key_file': key_file}] if key_file else []
    return [LifecycleNode(
        package='gsc_ros', executable='link_base_node', name='gsc_link_base',
        namespace=LaunchConfiguration('namespace'), output='screen',
        parameters=[LaunchConfiguration('params_file'), *url, *key],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])]
