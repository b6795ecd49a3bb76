"""
Start and stop groups of node processes without ``ros2 launch``.

The same nodes with the same parameter files as the launch files, for machines that have rclpy but
no launch_ros. Nothing here imports ROS.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import FrameType, TracebackType
from typing import Any, IO

from gsc_ros.codec.errors import InvalidInputError
import yaml

# Raw pictures do not fit Fast DDS's default sockets: two processes lose 10 to 30 % of them.
FASTDDS_TRANSPORTS = 'LARGE_DATA?max_msg_size=4MB&sockets_size=4MB&non_blocking=true'
POLL_S = 0.1  # how often processes are looked at


@dataclass
class NodeSpec:
    """
    One node process: ``python -m module`` as node ``namespace/name``.

    ``params`` win over ``params_files``; of the files the later wins. ``required`` says whether
    the end of this process ends the group (see ``ProcessGroup.wait``).
    """

    module: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    params_files: list[Path] = field(default_factory=list)
    remaps: dict[str, str] = field(default_factory=dict)
    namespace: str = ''
    required: bool = True

    @property
    def full_name(self) -> str:
        """The fully qualified node name, such as ``/robot1/gsc_encoder``."""
        namespace = self.namespace.strip('/')
        return f'/{namespace}/{self.name}' if namespace else f'/{self.name}'


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


def node_environment(log_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the environment of node processes: DDS set for pictures, this package importable."""
    env = {**os.environ, **(extra or {})}
    env.setdefault('FASTDDS_BUILTIN_TRANSPORTS', FASTDDS_TRANSPORTS)
    env.setdefault('ROS_LOG_DIR', str(log_dir / 'ros'))
    env.setdefault('RCUTILS_COLORIZED_OUTPUT', '0')
    env['PYTHONUNBUFFERED'] = '1'
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, env.get('PYTHONPATH', '').split(os.pathsep))]
    env['PYTHONPATH'] = os.pathsep.join(dict.fromkeys(paths))
    return env


class ProcessGroup:
    """Node processes that live and die together; output goes to ``log_dir/<name>.log``."""

    def __init__(self, specs: Sequence[NodeSpec], *, log_dir: Path,
                 env: dict[str, str] | None = None) -> None:
        """
        Prepare, start nothing. ``env`` adds to the caller's environment.

        Raises InvalidInputError when two specs share a name.
        """
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise InvalidInputError('specs', names, 'one spec per node name')
        self.specs = list(specs)
        self.log_dir = Path(log_dir).resolve()
        self._env = node_environment(self.log_dir, env)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start every process; when one cannot be started those that run are stopped again."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for spec in self.specs:
                self._processes[spec.name] = self._spawn(spec)
        except OSError:
            self.stop()
            raise

    def _spawn(self, spec: NodeSpec) -> subprocess.Popen[bytes]:
        command = [sys.executable, '-m', spec.module,
                   *ros_arguments(spec, write_params(spec, self.log_dir))]
        # A session of its own: Ctrl-C reaches a node once, through stop(), and not twice.
        with self._log_path(spec.name).open('wb') as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT, env=self._env,
                                    start_new_session=True)

    def _log_path(self, name: str) -> Path:
        return self.log_dir / f'{name}.log'

    def poll(self) -> dict[str, int | None]:
        """Exit code of every started process, None while it runs (negative: ended by a signal)."""
        return {name: process.poll() for name, process in self._processes.items()}

    def failed(self) -> dict[str, int]:
        """Return the ended processes with an exit code other than 0."""
        return {name: code for name, code in self.poll().items() if code}

    def wait(self, timeout_s: float | None = None) -> dict[str, int | None]:
        """
        Wait until a required process ends, any process fails, all end, or the time is up.

        Except when the time is up, whatever still runs is then stopped. Returns ``poll()`` as it
        was before stopping, so that the caller sees who ended first.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        required = {spec.name for spec in self.specs if spec.required}
        while True:
            codes = self.poll()
            ended = {name for name, code in codes.items() if code is not None}
            if self.failed() or ended & required or len(ended) == len(codes):
                self.stop()
                return codes
            if deadline is not None and time.monotonic() >= deadline:
                return codes
            time.sleep(POLL_S)

    def active(self) -> bool:
        """Whether every node has said in its log that it is active (``GscNode`` does)."""
        return all(self._said(spec.name, f'[{spec.full_name[1:].replace("/", ".")}]: active: ')
                   for spec in self.specs)

    def _said(self, name: str, words: str) -> bool:
        path = self._log_path(name)
        return path.exists() and words in path.read_text('utf-8', 'replace')

    def stop(self, grace_s: float = 5.0) -> None:
        """SIGINT to all, after ``grace_s`` seconds SIGKILL to those that still run."""
        for process in self._processes.values():
            self._signal(process, signal.SIGINT)
        deadline = time.monotonic() + grace_s
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._signal(process, signal.SIGKILL)
                process.wait()

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        if process.poll() is None:
            try:
                # The whole session, so that a node's own children go with it.
                os.killpg(process.pid, number)
            except ProcessLookupError:
                pass  # it ended in this very moment

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a node's log, '' when it has written nothing."""
        path = self._log_path(name)
        if not path.exists():
            return ''
        with path.open('rb') as log:
            return b''.join(_last_lines(log, lines)).decode('utf-8', 'replace')

    def __enter__(self) -> ProcessGroup:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()


def _last_lines(log: IO[bytes], lines: int, limit: int = 64 * 1024) -> list[bytes]:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - limit))
    return log.readlines()[-lines:]


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Within this block SIGTERM raises KeyboardInterrupt, so that groups stop their processes."""
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _spec(kind: str, params_file: Path | None, namespace: str, params: Mapping[str, Any],
          remaps: Mapping[str, str] | None) -> NodeSpec:
    return NodeSpec(f'gsc_ros.nodes.{kind}_node', f'gsc_{kind}', params=dict(params),
                    params_files=[Path(params_file)] if params_file else [],
                    remaps=dict(remaps or {}), namespace=namespace)


def robot_specs(params_file: Path | None = None, *, namespace: str = '',
                encoder: Mapping[str, Any] | None = None, link: Mapping[str, Any] | None = None,
                remaps: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """
    Make the robot's side, as robot.launch.py: the encoder node and its end of the link.

    ``encoder`` and ``link`` hold parameters; None for ``link``: packets stay topics.
    """
    specs = [_spec('encoder', params_file, namespace, encoder or {}, remaps)]
    if link is not None:
        specs.append(_spec('link_robot', params_file, namespace, link, remaps))
    return specs


def base_specs(params_file: Path | None = None, *, namespace: str = '',
               decoder: Mapping[str, Any] | None = None,
               detector: Mapping[str, Any] | None = None, with_detector: bool = True,
               link: Mapping[str, Any] | None = None,
               remaps: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """
    Make the base station, as base_station.launch.py: decoder, detector, its end of the link.

    ``decoder``, ``detector`` and ``link`` hold parameters; None for ``link``: packets come as
    topics.
    """
    specs = [_spec('decoder', params_file, namespace, decoder or {}, remaps)]
    if link is not None:
        specs.append(_spec('link_base', params_file, namespace, link, remaps))
    if with_detector:
        specs.append(_spec('detector', params_file, namespace, detector or {}, remaps))
    return specs


def loopback_specs(params_file: Path | None = None, *, namespace: str = '',
                   kbps: float | None = None, encoder: Mapping[str, Any] | None = None,
                   link: Mapping[str, Any] | None = None,
                   decoder: Mapping[str, Any] | None = None,
                   detector: Mapping[str, Any] | None = None, with_detector: bool = True,
                   remaps: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """
    Both sides and an emulated link between them on one machine, as loopback.launch.py.

    ``kbps`` (1000 bit/s) sets the link's speed and the encoder's bytes per second; None leaves
    both to the file and the nodes' defaults.
    """
    if kbps is not None:
        encoder = {'bytes_per_second': int(kbps * 125), **(encoder or {})}
        link = {'kbps': float(kbps), **(link or {})}
    return [*robot_specs(params_file, namespace=namespace, encoder=encoder, remaps=remaps),
            _spec('link', params_file, namespace, link or {}, remaps),
            *base_specs(params_file, namespace=namespace, decoder=decoder, detector=detector,
                        with_detector=with_detector, remaps=remaps)]
