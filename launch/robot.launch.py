"""The robot's side: cameras in, packets out."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Start the encoder node; it configures and activates itself by default."""
    arguments = [
        DeclareLaunchArgument(
            'params_file', description='ROS parameter file of the node',
            default_value=PathJoinSubstitution(
                [FindPackageShare('gsc_ros'), 'config', 'robot.yaml'])),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node'),
        DeclareLaunchArgument(
            'image_topic', default_value='camera/image_raw',
            description='Where the camera camera/image_raw of the parameter file comes from'),
        DeclareLaunchArgument(
            'camera_info_topic', default_value='camera/camera_info',
            description='Where its camera/camera_info comes from'),
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
    return LaunchDescription([*arguments, encoder])
