"""Launch descriptions from the same specs that ``gsc run`` starts; needs launch_ros."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
import shutil
import sys
import tempfile
from typing import Any

from gsc_ros.codec.errors import MissingDependencyError
from gsc_ros.parameters import topics
from gsc_ros.parameters.sides import config_file, shared_file
from gsc_ros.parameters.tables import DECODER
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec

# mypy finds our folder of launch files under this name.
from launch import LaunchContext, LaunchDescription  # type: ignore[attr-defined]
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

Values = Mapping[str, str]
COMMON = {
    'namespace': ('', 'Namespace of the nodes'),
    'use_sim_time': ('false', 'Follow /clock'),
    'log_level': ('info', 'debug, info, warn or error'),
}


def describe(config: str, arguments: Mapping[str, tuple[str, str]],
             specs: Callable[[Values], Sequence[ProcessSpec]]) -> LaunchDescription:
    """
    Make the description of one side.

    :param config: its parameter file in ``config/``, default of the argument ``params_file``.
    :param arguments: default and description by name; one named ``rviz`` starts RViz.
    :param specs: makes the processes from the values of all arguments.
    """
    params_file = str(config_file(config) or '')
    declared = {'params_file': (params_file, 'ROS parameter file of the nodes'),
                **arguments, **COMMON}

    def start(context: LaunchContext) -> list[Any]:
        # Values are text here, so that an empty one can mean "leave it to the file".
        values = {name: LaunchConfiguration(name).perform(context) for name in declared}
        rviz = [_rviz(values['namespace'])] if values.get('rviz') == 'true' else []
        return [_action(spec, values) for spec in specs(values)] + rviz

    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in declared.items()),
        OpaqueFunction(function=start)])


def _action(spec: ProcessSpec, values: Values) -> Any:
    if not isinstance(spec, NodeSpec):
        command = [sys.executable, '-m', spec.module,
                   *spec.command_line(Path(tempfile.gettempdir()))]
        return ExecuteProcess(cmd=command, name=spec.name, output='screen')
    time = {'use_sim_time': True} if values['use_sim_time'] == 'true' else {}
    return LifecycleNode(
        package='gsc_ros', executable=spec.module.rpartition('.')[2], name=spec.name,
        namespace=spec.namespace, output='screen',
        parameters=[*map(str, spec.params_files), *filter(None, [spec.params | time])],
        remappings=list(spec.remaps.items()),
        arguments=['--ros-args', '--log-level', values['log_level']])


def _rviz(namespace: str) -> Any:
    """
    Show the base station's pictures, whatever the namespace.

    :raises MissingDependencyError: without RViz, before any node is started.
    """
    if shutil.which('rviz2') is None:
        raise MissingDependencyError('rviz2', 'apt install ros-$ROS_DISTRO-rviz2, or rviz:=false')
    decoded = topics.decoded_topics(DECODER['streams'].default[0])
    shown = (decoded.picture, decoded.plain, topics.detected_topics(decoded.picture).overlay)
    inner = namespace.strip('/')
    return Node(package='rviz2', executable='rviz2', name='gsc_rviz', namespace=namespace,
                arguments=['-d', str(shared_file('rviz', 'base_station.rviz'))],
                remappings=[(f'/{name}', f'/{inner}/{name}') for name in shown if inner])
