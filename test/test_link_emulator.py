"""The link emulator itself: what it delays, drops and counts."""
from __future__ import annotations

import itertools
import random
import socket
import subprocess
import sys
import time

from link_emulator import (
    busiest_second,
    Channel,
    IP_AND_UDP_BYTES,
    Line,
    LineSettings,
    loopback_link,
    Loss,
    namespace_link,
    Passage,
    SECOND_NS,
)
import pytest

MS = 1_000_000


def test_rate_delay_and_queue():
    """100 bytes at 8 kbit/s take 0.1 s; the next waits; the queue has an end."""
    line = Line(LineSettings(kbps=8.0, delay_s=0.2, queue_s=0.15), seed=1)
    assert line.offer(100, 0) == 300 * MS
    assert line.offer(100, 0) == 400 * MS
    assert line.offer(100, 0) is None
    assert line.offer(100, 60 * MS) == 500 * MS
    assert line.offer(100, 1000 * MS) == 1300 * MS
    assert [passage.fate for passage in line.log].count('overflow') == 1
    assert [passage.queue_ns // MS for passage in line.log] == [0, 100, 200, 140, 0]


def test_speeds_change_on_time():
    """A datagram that is on the line when the speed changes goes on at the new one."""
    line = Line(LineSettings(kbps=[(0, 16), (1, 4), (2, 16)]), seed=1)
    assert line.offer(1000, 750 * MS) == 2000 * MS    # 500 bytes in 0.25 s, 500 in 1 s
    line = Line(LineSettings(kbps=[(0, 16), (1, 4), (2, 16)]), seed=1)
    assert line.offer(2000, 500 * MS) == 2250 * MS    # 1000 + 500 + 500 bytes


@pytest.mark.parametrize(('loss', 'run'), [
    (Loss(0.05), 1 / 0.95), (Loss(0.2, burst_s=0.04), 4.5), (Loss(0.0), 0.0)])
def test_losses_have_the_share_and_the_length_asked_for(loss, run):
    """Over many datagrams, one every 10 ms; a bad time hits half a datagram more than it lasts."""
    channel = Channel(loss, random.Random(2))
    lost = [channel.loses(number * 10 * MS) for number in range(60_000)]
    runs = ''.join('x' if bad else ' ' for bad in lost).split()
    assert sum(lost) / len(lost) == pytest.approx(loss.share, abs=0.01)
    assert sum(map(len, runs)) / max(1, len(runs)) == pytest.approx(run, rel=0.1)


def test_jitter_keeps_the_order():
    """Later datagrams do not overtake."""
    line = Line(LineSettings(kbps=1000.0, delay_s=0.01, jitter_s=0.05), seed=3)
    arrivals = [line.offer(50, number * MS) for number in range(200)]
    assert arrivals == sorted(arrivals)
    assert len({b - a for a, b in itertools.pairwise(arrivals)}) > 10


def test_busiest_second():
    """Any window counts, not only whole seconds; a window is shorter than what it excludes."""
    def log(*times_ms):
        return [Passage(at * MS, 10, 0, 'arrived', 0) for at in times_ms]

    assert busiest_second(log(0, 600, 1200, 1599, 2500)) == 30
    assert busiest_second(log(0, 1000, 2000)) == 10
    assert busiest_second([]) == 0


def test_real_datagrams_over_loopback():
    """Both ways, each as slow as its direction; bytes counted with headers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as robot, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as base:
        for end in (robot, base):
            end.bind(('127.0.0.1', 0))
            end.settimeout(10.0)
        with loopback_link(robot.getsockname()[1], base.getsockname()[1],
                           LineSettings(kbps=64.0, delay_s=0.1), LineSettings(kbps=1000.0)
                           ) as (link, ports):
            started = time.monotonic()
            for number in range(4):
                robot.sendto(bytes([number]) * 72, ('127.0.0.1', ports[0]))
            assert [base.recv(2048)[0] for _ in range(4)] == [0, 1, 2, 3]
            assert time.monotonic() - started >= 0.1 + 4 * 100 * 8 / 64_000 - 0.005
            base.sendto(b'down', ('127.0.0.1', ports[1]))
            assert robot.recv(2048) == b'down'
            assert busiest_second(link.up.log) == 4 * (72 + IP_AND_UDP_BYTES)
            assert [passage.size for passage in link.down.log] == [32]


def test_real_packets_between_namespaces():
    """As over loopback, between two processes that have no other way to each other."""
    answer = ('import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
              's.bind(("", 7400)); print("up", flush=True); s.settimeout(20); '
              'd, a = s.recvfrom(99); s.sendto(d[::-1], a)')
    ask = ('import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
           's.settimeout(20); s.sendto(b"abc", ("{}", 7400)); print(s.recv(99).decode())')
    settings = LineSettings(kbps=64.0, delay_s=0.05)
    try:
        with namespace_link(settings, settings) as (link, names, addresses):
            there, here = (['ip', 'netns', 'exec', name, sys.executable, '-S', '-c']
                           for name in reversed(names))
            with subprocess.Popen([*there, answer], stdout=subprocess.PIPE) as server:
                assert server.stdout.readline() == b'up\n'
                got = subprocess.run([*here, ask.format(addresses[1])], capture_output=True,
                                     check=True).stdout
            assert got == b'cba\n'
            assert [passage.size for passage in link.up.log] == [3 + IP_AND_UDP_BYTES]
            flight_ns = link.up.log[0].arrives_ns - link.up.log[0].at_ns
            assert 0.05 * SECOND_NS < flight_ns < 0.06 * SECOND_NS
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f'network namespaces are not permitted here: {error}')
