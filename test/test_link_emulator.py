"""The emulated line: what it delays, drops, loses and counts; and the radio made of two."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace
import itertools
import signal
import socket
import subprocess
import sys
import time

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link import radio
from gsc_ros.link.emulator import busiest_second, Line, Losses, Passage
from gsc_ros.link.line_settings import line_settings, LineSettings
from gsc_ros.link.radio import Radio, UdpEnds
from gsc_ros.link.transports.udp import IP_AND_UDP_BYTES
from hypothesis import given, settings
from hypothesis import strategies as st
from link_namespaces import namespace_link
import pytest

MS = 1_000_000
IDEAL = LineSettings(kbps=8.0, queue_bytes=3000)
BARE = LineSettings(kbps=8.0, header_bytes=0)


def drain(link: Line, until_ns: int) -> list[tuple[int, object]]:
    """Ask the link whenever it says, up to a time."""
    out = []
    while (next_ns := link.next_ns()) is not None and next_ns <= until_ns:
        out += [(next_ns, item) for item in link.arrived(next_ns)]
    return out


def test_bytes_take_time_and_delay_is_added():
    """472 + 28 bytes at 8 kbit/s take 500 ms; the second waits for the first."""
    link = Line(replace(IDEAL, delay_s=0.2), 0, 0)
    link.offer('a', 472, 0)
    link.offer('b', 472, 10 * MS)
    assert link.arrived(699 * MS) == []
    assert drain(link, 10_000 * MS) == [(700 * MS, 'a'), (1200 * MS, 'b')]
    assert link.next_ns() is None
    assert (link.counts['sent'], link.counts['sent_bytes']) == (2, 1000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 1500)), max_size=60),
       st.floats(1.0, 64.0), st.integers(0, 4000))
def test_never_faster_than_its_speed(offers, kbps, queue):
    """Between any two arrivals the link carried no more than its speed allows."""
    link = Line(replace(IDEAL, kbps=kbps, queue_bytes=queue), 0, 0)
    now_ns, out = 0, []
    for gap_ms, size in offers:
        out += drain(link, now_ns + gap_ms * MS)
        now_ns += gap_ms * MS
        link.offer(size, size, now_ns)
        assert link.queued_bytes <= queue
    out += drain(link, 10**15)
    assert len(out) + link.counts['dropped'] == len(offers)
    for first in range(len(out)):
        wire = 0
        for arrived_ns, size in out[first + 1:]:
            wire += size + 28
            # each packet's time is rounded to a nanosecond
            assert wire * 8e6 / kbps <= arrived_ns - out[first][0] + len(out)


def test_newest_wins_when_the_queue_is_full():
    """While one packet is on the link the oldest of the waiting gives way; facts never do."""
    link = Line(replace(IDEAL, queue_bytes=1000), 0, 0)
    link.offer('on the link', 400, 0)
    link.offer('facts', 500, 0, precious=True)
    for name in ('old', 'older', 'newest'):
        link.offer(name, 400, 1)
    assert link.counts['dropped'] == 2
    assert [item for _, item in drain(link, 10**12)] == ['on the link', 'facts', 'newest']


def test_losses_are_seeded_and_counted():
    """The same seed loses the same packets; facts are never lost."""
    def received(seed: int, loss: float) -> list[object]:
        link = Line(replace(IDEAL, loss=loss, queue_bytes=10**6), seed, 0)
        for index in range(200):
            link.offer(index, 10, 0, precious=index == 7)
        got = [item for _, item in drain(link, 10**15)]
        assert link.counts['lost'] == 200 - len(got)
        return got

    assert received(1, 0.2) == received(1, 0.2) != received(2, 0.2)
    assert 130 <= len(received(1, 0.2)) <= 185
    assert received(1, 1.0) == [7]
    assert len(received(1, 0.0)) == 200


def test_a_shorter_delay_does_not_reorder():
    """Settings change while packets fly."""
    link = Line(replace(IDEAL, kbps=1000.0, delay_s=1.0), 0, 0)
    link.offer('a', 100, 0)
    link.arrived(100 * MS)
    link.settings = replace(link.settings, delay_s=0.0)
    link.offer('b', 100, 100 * MS)
    assert [item for _, item in drain(link, 10**12)] == ['a', 'b']


def test_negative_size_is_refused():
    """A packet has a size."""
    with pytest.raises(InvalidInputError):
        Line(IDEAL, 0, 0).offer('a', -1, 0)


def test_speeds_change_on_time():
    """A datagram that is on the line when the speed changes goes on at the new one."""
    for at_ms, size, arrives_ms in ((750, 1000, 2000),    # 500 bytes in 0.25 s, 500 in 1 s
                                    (500, 2000, 2250),    # 1000 + 500 + 500 bytes
                                    (2500, 1000, 3000)):
        line = Line(replace(BARE, kbps=((0, 16), (1, 4), (2, 16))), 1, 0)
        line.offer('x', size, at_ms * MS)
        assert drain(line, 10**12) == [(arrives_ms * MS, 'x')]


@pytest.mark.parametrize(('share', 'burst_s', 'run'), [
    (0.05, 0.0, 1 / 0.95), (0.2, 0.04, 4.5), (0.0, 0.04, 0.0), (1.0, 0.1, 60_000)])
def test_losses_have_the_share_and_the_length_asked_for(share, burst_s, run):
    """Over many datagrams, one every 10 ms; a bad time hits half a datagram more than it lasts."""
    losses, line = Losses(2), LineSettings(loss=share, burst_s=burst_s)
    lost = [losses.loses(line, number * 10 * MS) for number in range(60_000)]
    runs = ''.join('x' if bad else ' ' for bad in lost).split()
    assert sum(lost) / len(lost) == pytest.approx(share, abs=0.01)
    assert sum(map(len, runs)) / max(1, len(runs)) == pytest.approx(run, rel=0.1)


@pytest.mark.parametrize('in_order', [True, False])
def test_jitter_mixes_only_where_that_is_wanted(in_order):
    """Datagrams come at different times; later ones overtake unless the order is kept."""
    line = Line(LineSettings(1000.0, delay_s=0.01, jitter_s=0.05, in_order=in_order), 3, 0)
    for number in range(200):
        line.offer(number, 22, number * MS)
    arrivals = drain(line, 10**12)
    assert ([number for _, number in arrivals] == list(range(200))) == in_order
    assert len({b - a for (a, _), (b, _) in itertools.pairwise(arrivals)}) > 10


def test_doubled_datagrams_come_twice():
    """As on a real network; the bytes are counted once."""
    line = Line(LineSettings(1000.0, doubled=0.3), 3, 0)
    for number in range(400):
        line.offer(number, 72, 0)
    times = Counter(number for _, number in drain(line, 10**12))
    assert set(times.values()) == {1, 2}
    assert sum(times.values()) == pytest.approx(520, abs=40)
    assert line.counts['sent_bytes'] == 40_000


def test_the_log_tells_what_became_of_each():
    """How long it waited and its bytes with headers, also of what was lost or dropped."""
    log: list[Passage] = []
    line = Line(LineSettings(8.0, queue_bytes=150, header_bytes=50), 1, 10**18, log)
    for _ in range(4):
        line.offer('x', 50, 10**18)
    assert line.queue_ns(10**18) == 400 * MS
    assert drain(line, 10**19)
    assert log == [Passage(0, 100, wait_ms * MS, 'arrived') for wait_ms in (0, 100, 200, 300)]
    line.settings = replace(line.settings, loss=1.0, queue_bytes=60)
    for _ in range(3):
        line.offer('x', 50, 2 * 10**18)
    line.arrived(3 * 10**18)
    assert [passage.fate for passage in log[4:]] == ['dropped', 'lost', 'lost']


@pytest.mark.parametrize('back_ns', [2_000 * MS, 5 * 10**18])
def test_a_clock_that_jumps_back_holds_up_nothing(back_ns):
    """A bag in a loop with /clock: what is under way arrives as if time had gone on."""
    line = Line(replace(BARE, delay_s=0.5), 1, 10**19)
    line.offer('before', 100, 10**19 + 3000 * MS)
    line.offer('waiting', 100, 10**19 + 3000 * MS)
    after_ns = 10**19 + 3050 * MS - back_ns
    line.offer('after', 100, after_ns)
    assert drain(line, after_ns + 10**12) == [
        (after_ns + 600 * MS, 'before'), (after_ns + 700 * MS, 'waiting'),
        (after_ns + 800 * MS, 'after')]


def test_busiest_second():
    """Any window counts, not only whole seconds; a window is shorter than what it excludes."""
    def log(*times_ms):
        return [Passage(at * MS, 10, 0, 'arrived') for at in times_ms]

    assert busiest_second(log(0, 600, 1200, 1599, 2500)) == 30
    assert busiest_second(log(0, 1000, 2000)) == 10
    assert busiest_second([]) == 0


@pytest.mark.parametrize(('name', 'value'), [
    ('kbps', 0.0), ('kbps', ((0.0, 8.0), (1.0, -1.0))), ('loss', 1.1), ('delay_s', -1.0),
    ('queue_bytes', -1), ('loss', float('nan'))])
def test_settings_outside_their_range_are_named(name, value):
    """With the value and what is allowed."""
    with pytest.raises(InvalidInputError, match=name):
        LineSettings(**{name: value})


def test_users_say_percent_and_milliseconds():
    """And are told what they may say."""
    assert line_settings(8, 5, 200, 250) == LineSettings(8, delay_s=0.2, loss=0.05, burst_s=0.25)
    with pytest.raises(InvalidInputError, match='loss is 101'):
        line_settings(8, 101)


@pytest.fixture
def ends():
    """Give a robot's and a base station's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as robot, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as base:
        for end in (robot, base):
            end.bind(('127.0.0.1', 0))
            end.settimeout(20.0)
        yield robot, base


def test_real_datagrams_over_loopback(ends):
    """Both ways, each as slow as its direction; bytes counted with headers."""
    robot, base = ends
    udp = UdpEnds(('127.0.0.1', 0), base.getsockname())
    with Radio(udp, LineSettings(64.0, delay_s=0.1), LineSettings(1000.0), 1, keep_log=True
               ) as link:
        started = time.monotonic()
        for number in range(4):
            robot.sendto(bytes([number]) * 72, ('127.0.0.1', udp.port))
        arrived = [base.recvfrom(2048) for _ in range(4)]
        assert [datagram[0] for datagram, _ in arrived] == [0, 1, 2, 3]
        assert time.monotonic() - started >= 0.1 + 4 * 100 * 8 / 64_000 - 0.005
        base.sendto(b'down', arrived[0][1])
        assert robot.recv(2048) == b'down'
        up, down = link.logs
        assert busiest_second(up) == 4 * (72 + IP_AND_UDP_BYTES[socket.AF_INET])
        assert [passage.size for passage in down] == [32]


def test_the_radio_is_a_process_of_its_own(ends, tmp_path):
    """It says when it is ready, carries datagrams, and ends on SIGINT."""
    robot, base = ends
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [sys.executable, '-m', 'gsc_ros.link.radio', '--robot', f'127.0.0.1:{port}',
               '--base', '{}:{}'.format(*base.getsockname()), '--kbps', '64', '--name', 'thin']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith('[thin]: active: ')
            robot.sendto(b'up', ('127.0.0.1', port))
            datagram, sender = base.recvfrom(99)
            base.sendto(datagram[::-1], sender)
            assert robot.recv(99) == b'pu'
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_radio_that_cannot_work_says_why(capsys, ends):
    """One line, exit code 1."""
    taken = '{}:{}'.format(*ends[0].getsockname())
    for words in (['--robot', taken, '--base', taken], ['--robot', 'x', '--base', taken],
                  ['--robot', '127.0.0.1:0', '--base', taken, '--loss', '-1']):
        assert radio.main(words) == 1
        assert capsys.readouterr().err.startswith('radio: error: ')


def test_real_packets_between_namespaces():
    """As over loopback, between two processes that have no other way to each other."""
    answer = ('import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
              's.bind(("", 7400)); print("up", flush=True); s.settimeout(20); '
              'd, a = s.recvfrom(99); s.sendto(d[::-1], a)')
    ask = ('import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
           's.settimeout(20); s.sendto(b"abc", ("{}", 7400)); print(s.recv(99).decode())')
    line = LineSettings(kbps=64.0, delay_s=0.05)
    try:
        with namespace_link(line) as (link, names, addresses):
            there, here = (['ip', 'netns', 'exec', name, sys.executable, '-S', '-c']
                           for name in reversed(names))
            with subprocess.Popen([*there, answer], stdout=subprocess.PIPE) as server:
                assert server.stdout.readline() == b'up\n'
                got = subprocess.run([*here, ask.format(addresses[1])], capture_output=True,
                                     check=True).stdout
            assert got == b'cba\n'
            assert [passage.size for passage in link.logs[0]] == [
                3 + IP_AND_UDP_BYTES[socket.AF_INET]]
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f'network namespaces are not permitted here: {error}')
