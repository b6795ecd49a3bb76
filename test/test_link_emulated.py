"""
Both ends of the link as real processes over emulated links; made-up packets, no ROS.

Short runs, all at once: the processes mostly wait. ``test_link_nodes_emulated.py`` does it with
the nodes, ``bench/link_scenarios.py`` at full length.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
import itertools
import json
from pathlib import Path
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.radio import Radio, UdpEnds
from gsc_ros.units import SECOND_NS
from link_namespaces import namespace_link
from link_scenes import Arrival, faults, Outcome, outcome, Scene, scenes
import pytest

HERE = Path(__file__).parent
PATIENCE_S = 30.0
SECONDS = 15.0
STEP_S = 5.0
SCENES = scenes(STEP_S)
SEED = 7   # bursts of 1.25 s at most: none is a stall by itself
KEY = '17' * 32
SLACK = 2.0     # tests run on busy machines; bench/link_scenarios.py holds the links' own limits


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def settings(ceiling: int, **changes: Any) -> str:
    """Write the settings of both ends as JSON."""
    return json.dumps({
        'bytes_per_second': ceiling, 'floor': 100, 'adapt': True, 'mtu': 1200,
        'overhead_bytes': 28, 'fec': 'off', 'report_period_ns': SECOND_NS // 4,
        'stale_ns': 3 * SECOND_NS, **changes})


@dataclass
class Peer:
    """A process of link_peer.py and the lines that it has printed."""

    side: str
    url: str
    settings: str
    streams: int = 1
    prefix: tuple[str, ...] = ()   # command that runs it somewhere else
    lines: list[dict[str, Any]] = field(default_factory=list)
    starts: int = 0

    def start(self) -> None:
        """Start the process, for the first time or again."""
        self.starts += 1
        command = [*self.prefix, sys.executable, str(HERE / 'link_peer.py'), self.side, self.url,
                   self.settings, str(self.streams)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if line.endswith('\n'):  # the last one of a killed process may be cut
                self.lines.append(json.loads(line))

    def kill(self) -> None:
        """Kill at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def ready_ns(self) -> int:
        """Wait until the last start has got as far as opening the link; when that was."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = [line['ready_ns'] for line in list(self.lines) if 'ready_ns' in line]
            if len(found) == self.starts:
                return int(found[-1])
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @property
    def arrivals(self) -> list[Arrival]:
        """Pictures that came, at a base station."""
        return [Arrival(line['stream'], line['stamp_ns'], line['arrived_ns'], line['size'])
                for line in list(self.lines) if 'stamp_ns' in line]

    def check(self) -> None:
        """Raise AssertionError if the process has ended, or reported an error or a wrong byte."""
        assert self.process.poll() is None, f'{self.side} has ended'
        bad = [line for line in list(self.lines)
               if 'error' in line or line.get('right') is False]
        assert not bad, (self.side, bad[:3])


class Pair:
    """A robot's and a base station's end with a link between."""

    def __init__(self, stack: ExitStack, line: LineSettings, ceiling: int, streams: int = 1,
                 base_key: str | None = None, **changes: Any) -> None:
        base = '127.0.0.1', free_port()
        ends = UdpEnds(('127.0.0.1', 0), base)
        self.link = stack.enter_context(Radio(ends, line, line, SEED, keep_log=True))
        urls = f'udp://127.0.0.1:{ends.port}', 'udp://?bind={}:{}'.format(*base)
        self.robot = Peer('robot', urls[0], settings(ceiling, **changes), streams)
        if base_key:
            changes['key'] = base_key
        self.base = Peer('base', urls[1], settings(ceiling, **changes), streams)
        for peer in (self.base, self.robot):
            peer.start()
            stack.callback(lambda peer=peer: peer.kill())

    def until(self, count: int, after_ns: int = 0) -> int:
        """Wait for pictures of each stream stamped after a time; when the last of them came."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = [a for a in self.base.arrivals if a.stamp_ns > after_ns]
            firsts = [[a.arrived_ns for a in seen if a.stream == str(stream)][:count]
                      for stream in range(self.base.streams)]
            if all(len(first) == count for first in firsts):
                return max(itertools.chain(*firsts))
            assert time.monotonic() < deadline, (seen, self.robot.lines[-3:])
            self.robot.check()
            self.base.check()
            time.sleep(0.01)


@pytest.fixture(scope='module')
def results() -> Iterator[dict[str, tuple[Scene, Outcome, Pair]]]:
    """Run all scenes at the same time."""
    with ExitStack() as stack:
        pairs = {scene.name: Pair(stack, scene.line, scene.ceiling) for scene in SCENES}
        for pair in pairs.values():
            pair.until(1)
        start_ns = time.time_ns()
        for scene, pair in zip(SCENES, pairs.values(), strict=True):
            pair.link.change(scene.line, scene.line)
        time.sleep(SECONDS)  # the run itself
        end_ns = time.time_ns()
        yield {scene.name: (scene, outcome(scene, pair.base.arrivals, pair.link.logs[0], start_ns,
                                           end_ns), pair)
               for scene, pair in zip(SCENES, pairs.values(), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize('name', [scene.name for scene in SCENES])
def test_scene(results, name):
    """What must hold on a link does, and every byte of every picture is right."""
    scene, result, pair = results[name]
    pair.robot.check()
    pair.base.check()
    assert faults(scene, result, SLACK) == []
    assert result.pictures >= 3


@pytest.mark.parametrize('name', [scene.name for scene in SCENES])
def test_the_base_station_says_little(results, name):
    """Reports take a small part of the link in the other direction."""
    _, _, pair = results[name]
    sent = sum(passage.size for passage in pair.link.logs[1])
    assert 0 < sent / SECONDS < 280


def test_either_end_is_killed_and_comes_back():
    """After kill -9 and a new start pictures of both streams come within seconds; key or not."""
    with ExitStack() as stack:
        pairs = [Pair(stack, LineSettings(64.0, 0.05, loss=0.02), 4000, streams=2, key=key,
                      floor=500) for key in (None, KEY)]
        for pair in pairs:
            pair.until(2)
        for sides in (['base'], ['robot'], ['robot', 'base']):
            killed = [[getattr(pair, side) for side in sides] for pair in pairs]
            for peer in itertools.chain(*killed):
                peer.kill()
            for peer in itertools.chain(*killed):
                peer.start()
            for pair, peers in zip(pairs, killed, strict=True):
                ready_ns = max(peer.ready_ns() for peer in peers)
                assert pair.until(1, ready_ns) - ready_ns < SLACK * 5 * SECOND_NS, sides


def test_a_wrong_key_lets_nothing_through():
    """Datagrams cross the link, pictures do not."""
    with ExitStack() as stack:
        pair = Pair(stack, LineSettings(64.0, 0.0), 4000, key=KEY, base_key='18' * 32)
        deadline = time.monotonic() + PATIENCE_S
        while len(pair.link.logs[0]) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert pair.base.arrivals == []
        pair.base.check()


@pytest.mark.skipif(not find_spec('zfec'), reason='zfec is not installed')
def test_parity_makes_up_for_lost_fragments():
    """Of pictures in many fragments hardly one arrives over a lossy link without parity."""
    with ExitStack() as stack:
        line = LineSettings(64.0, 0.02, loss=0.08)
        plain, coded = (Pair(stack, line, 6000, mtu=200, fec=fec, adapt=False)
                        for fec in ('off', 'on'))
        for pair in (plain, coded):
            pair.base.ready_ns()
            pair.robot.ready_ns()
        time.sleep(6.0)  # the run itself
        shares = [len(pair.base.arrivals) / len(pair.robot.lines) for pair in (plain, coded)]
        assert shares[1] > shares[0] + 0.2


def test_between_network_namespaces():
    """The same two processes with no other way to each other, where that is permitted."""
    line = LineSettings(16.0, 0.1, loss=0.02)
    try:
        with ExitStack() as stack:
            link, names, addresses = stack.enter_context(namespace_link(line))
            peers = [
                Peer(side, f'udp://{remote}:7400?bind={local}:7400', settings(2000),
                     prefix=('ip', 'netns', 'exec', name))
                for side, name, local, remote in zip(('robot', 'base'), names, addresses,
                                                     reversed(addresses), strict=True)]
            for peer in peers:
                peer.start()
                stack.callback(lambda peer=peer: peer.kill())
            deadline = time.monotonic() + PATIENCE_S
            while len(peers[1].arrivals) < 5:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            for peer in peers:
                peer.check()
            assert len(link.logs[1]) > 0
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f'network namespaces are not permitted here: {error}')
