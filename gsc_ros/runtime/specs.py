"""Descriptions of processes; ``processes`` starts them, and launch files do."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class ProcessSpec:
    """
    One process: ``python -m module`` with ``arguments``.

    ``required`` says whether its end ends the group (see ``ProcessGroup.wait``).
    """

    module: str
    name: str
    arguments: list[str] = field(default_factory=list)
    required: bool = True

    @property
    def log_name(self) -> str:
        """What stands in brackets before the words 'active: ' in its log."""
        return self.name

    def command_line(self, folder: Path) -> list[str]:
        """Arguments of the process; files that these name are written to ``folder``."""
        return self.arguments


@dataclass
class NodeSpec(ProcessSpec):
    """
    One node process, with name ``namespace/name``.

    ``params`` win over ``params_files``; of the files the later wins.
    """

    params: dict[str, Any] = field(default_factory=dict)
    params_files: list[Path] = field(default_factory=list)
    remaps: dict[str, str] = field(default_factory=dict)
    namespace: str = ''

    @property
    def full_name(self) -> str:
        """The fully qualified node name, such as ``/robot1/gsc_encoder``."""
        namespace = self.namespace.strip('/')
        return f'/{namespace}/{self.name}' if namespace else f'/{self.name}'

    @property
    def log_name(self) -> str:
        """As rclpy names its logger."""
        return self.full_name[1:].replace('/', '.')

    def command_line(self, folder: Path) -> list[str]:
        """Arguments of the process, as ROS wants them; writes the parameter file."""
        return [*self.arguments, *ros_arguments(self, write_params(self, folder))]


def ros_arguments(spec: NodeSpec, params_file: Path | None) -> list[str]:
    """Command-line arguments of one node; ``params_file`` holds ``spec.params``."""
    arguments = ['--ros-args', '-r', f'__node:={spec.name}']
    if spec.namespace.strip('/'):
        arguments += ['-r', f'__ns:=/{spec.namespace.strip("/")}']
    for source, target in spec.remaps.items():
        arguments += ['-r', f'{source}:={target}']
    for path in [*spec.params_files, *([params_file] if params_file else [])]:
        arguments += ['--params-file', str(path)]
    return arguments


def write_params(spec: NodeSpec, folder: Path) -> Path | None:
    """
    Write ``spec.params`` as a ROS parameter file; None when there are none.

    The key is the full node name, because in rclpy neither ``-p`` nor ``/**`` wins over a section
    ``/**/name`` of an earlier file, and YAML keeps strings such as 'no' strings.
    """
    # ROS parameter files cannot express an empty list: the node's own default stands.
    params = {name: value for name, value in spec.params.items() if value not in ([], ())}
    if not params:
        return None
    path = folder / f'{spec.name}.params.yaml'
    document = {spec.full_name: {'ros__parameters': params}}
    path.write_text(yaml.safe_dump(document), encoding='utf-8')
    return path
