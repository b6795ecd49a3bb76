"""Node processes with torch loaded, and how they end."""
from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

from gsc_ros.runtime.processes import node_environment
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('gsc_msgs')
pytest.importorskip('torch')

PATIENCE_S = 120.0
GRACE_S = 20.0  # far above what it takes: what is tested is the exit code
CLOSE_FOREVER = """
import sys, time
from gsc_ros.nodes.link_node import LinkNode
from gsc_ros.nodes.process import run_process

class Stubborn(LinkNode):
    def stop(self):
        time.sleep(600)

run_process(Stubborn)
"""


def start(log: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a node and wait until it says that it is active."""
    with log.open('wb') as output:
        process = subprocess.Popen([sys.executable, *words], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT,
                                   env=node_environment(log.parent), start_new_session=True)
    deadline = time.monotonic() + PATIENCE_S
    while 'active: ' not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return process


def end(process: subprocess.Popen[bytes], *signals: signal.Signals) -> int:
    """Send signals, one after the other, and return the exit code."""
    for number in signals:
        process.send_signal(number)
        time.sleep(0.02)
    try:
        return process.wait(GRACE_S)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize('signals', [
    [signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM],
    [signal.SIGINT, signal.SIGTERM, signal.SIGINT]], ids=lambda numbers: '-'.join(
        number.name for number in numbers))
@pytest.mark.parametrize('node', ['encoder', 'detector'])
def test_a_signal_ends_a_node_in_peace(tmp_path, node, signals):
    """Exit code 0 and no traceback, however often it is told."""
    log = tmp_path / 'log'
    process = start(log, '-m', f'gsc_ros.nodes.{node}_node')
    assert end(process, *signals) == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


def test_a_node_that_does_not_close_ends_too(tmp_path):
    """What still runs after a while ends with the process."""
    log = tmp_path / 'log'
    process = start(log, '-c', CLOSE_FOREVER)
    assert end(process, signal.SIGINT) == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


def test_a_node_that_cannot_start_says_so(tmp_path):
    """Exit code 1, with the reason in the output."""
    ended = subprocess.run(
        [sys.executable, '-m', 'gsc_ros.nodes.link_node', '--ros-args', '-p', 'kbps:=0.0'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
        env=node_environment(tmp_path), check=False)
    assert ended.returncode == 1
    assert 'kbps' in ended.stdout + ended.stderr
