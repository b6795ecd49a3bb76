"""The robot's side: cameras in, packets out, over the thin link where one is named."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Start encoder and link node; they configure and activate themselves by default."""
    arguments = [
        DeclareLaunchArgument(
            'params_file', description='ROS parameter file of the nodes',
            default_value=PathJoinSubstitution(
                [FindPackageShare('gsc_ros'), 'config', 'robot.yaml'])),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the nodes'),
        DeclareLaunchArgument(
            'image_topic', default_value='camera/image_raw',
            description='Where the camera camera/image_raw of the parameter file comes from'),
        DeclareLaunchArgument(
            'camera_info_topic', default_value='camera/camera_info',
            description='Where its camera/camera_info comes from'),
        DeclareLaunchArgument(
            'link', default_value='',
            description='URL of the link to the base station, such as udp://HOST:47400; params: '
                        'the one of the parameter file; empty: no link node, packets stay topics'),
        DeclareLaunchArgument(
            'key_file', default_value='', description='File with the pre-shared key of the link'),
        DeclareLaunchArgument(
            'log_level', default_value='info', description='debug, info, warn or error'),
    ]
    image = LaunchConfiguration('image_topic')
    encoder = LifecycleNode(
        package='gsc_ros', executable='encoder_node', name='gsc_encoder',
        namespace=LaunchConfiguration('namespace'), output='screen',
        parameters=[LaunchConfiguration('params_file')],
        remappings=[('camera/image_raw', image),
                    ('camera/image_raw/compressed', [image, '/compressed']),
                    ('camera/camera_info', LaunchConfiguration('camera_info_topic'))],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
    return LaunchDescription([*arguments, encoder, OpaqueFunction(function=_link)])


def _link(context):
    # Resolved here, because without a link there is no node, and what is empty must set nothing.
    link = LaunchConfiguration('link').perform(context)
    key_file = LaunchConfiguration('key_file').perform(context)
    if not link:
        return []
    url = [{'link': link}] if link != 'params' else []
    key = [{'key_file': key_file}] if key_file else []
    return [LifecycleNode(
        package='gsc_ros', executable='link_robot_node', name='gsc_link_robot',
        namespace=LaunchConfiguration('namespace'), output='screen',
        parameters=[LaunchConfiguration('params_file'), *url, *key],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])]
