"""Start and stop groups of processes without ``ros2 launch``, where there is no launch_ros."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import FrameType, TracebackType
from typing import IO

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.runtime.specs import ProcessSpec

# Raw pictures do not fit Fast DDS's default sockets: two processes lose 10 to 30 % of them.
FASTDDS_TRANSPORTS = 'LARGE_DATA?max_msg_size=4MB&sockets_size=4MB&non_blocking=true'
POLL_S = 0.1  # how often processes are looked at


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
    """Processes that live and die together; output goes to ``log_dir/<name>.log``."""

    def __init__(self, specs: Sequence[ProcessSpec], *, log_dir: Path,
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

    def _spawn(self, spec: ProcessSpec) -> subprocess.Popen[bytes]:
        command = [sys.executable, '-m', spec.module, *spec.command_line(self.log_dir)]
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
        """Whether every process has said in its log that it is active (``GscNode`` does)."""
        return all(self._said(spec.name, f'[{spec.log_name}]: active: ') for spec in self.specs)

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
