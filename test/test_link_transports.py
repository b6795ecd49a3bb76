"""UDP, serial and zenoh transports: what arrives, what is counted, and how they recover."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
import os
from pathlib import Path
import random
import socket
import sys
import threading
import time
import tty

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.transports import open_transport, Transport, TransportError
from gsc_ros.link.transports.common import Backoff, LONGEST_WAIT_S, Sleeper
from gsc_ros.link.transports.framing import Deframer, frame
from gsc_ros.link.transports.udp import UdpTransport
import pytest

PATIENCE_S = 20.0
needs_serial = pytest.mark.skipif(not find_spec('serial'), reason='pyserial is not installed')
needs_zenoh = pytest.mark.skipif(not find_spec('zenoh'), reason='eclipse-zenoh is not installed')


@pytest.fixture
def opened() -> Iterator[Callable[..., Transport]]:
    """Open transports that are closed at the end of the test."""
    made: list[Transport] = []

    def make(url: str, mtu: int = 200) -> Transport:
        made.append(open_transport(url, mtu=mtu))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def receive(transport: Transport, patience_s: float = PATIENCE_S) -> bytes:
    """Wait for a datagram."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        datagram = transport.receive(1.0)
        if datagram is not None:
            return datagram
    raise AssertionError(f'nothing arrived: {transport.counts}')


def exchange(source: Transport, sink: Transport, datagram: bytes) -> None:
    """Send again and again until it arrives, as over a line that comes back."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        source.send(datagram)
        if sink.receive(0.1) == datagram:
            return
    raise AssertionError(f'nothing arrived: {source.counts} {sink.counts}')


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """Return a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


# URLs

@pytest.mark.parametrize('url', [
    'tcp://127.0.0.1:7400', '127.0.0.1:7400', 'udp://', 'udp://127.0.0.1', 'udp://127.0.0.1:0',
    'udp://:7400', 'udp://127.0.0.1:70000', 'udp://127.0.0.1:7400/path', 'udp://?bind=127.0.0.1',
    'udp://127.0.0.1:7400?port=1', 'udp://me@127.0.0.1:7400', 'udp://?bind=:1&bind=:2',
    'serial://', 'serial:///', 'serial://ttyUSB0', 'serial:///dev/null?baud=fast',
    'serial:///dev/null?baud=0', 'serial:///dev/null?parity=odd'])
def test_urls_that_do_not_fit_are_refused(url):
    """The error repeats the URL."""
    with pytest.raises(InvalidInputError) as refused:
        open_transport(url, mtu=200)
    assert url in str(refused.value)


@needs_zenoh
@pytest.mark.parametrize('url', [
    'zenoh://', 'zenoh://?key=gsc/link', 'zenoh://127.0.0.1', 'zenoh://?listen=:7447',
    'zenoh://127.0.0.1:7447?key=', 'zenoh://127.0.0.1:7447/key', 'zenoh://?config=/no/such/file'])
def test_zenoh_urls_that_do_not_fit_are_refused(url):
    """The error repeats the URL."""
    with pytest.raises(InvalidInputError) as refused:
        open_transport(url, mtu=200)
    assert url in str(refused.value)


@pytest.mark.parametrize(('module', 'url'), [
    ('serial', 'serial:///dev/null'), ('zenoh', 'zenoh://127.0.0.1:7447')])
def test_a_missing_package_is_named(monkeypatch, module, url):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match='pip install'):
        open_transport(url, mtu=200)


# UDP

def test_udp_both_sides_configured(opened):
    """Datagrams go both ways; strangers and what exceeds the MTU are counted and dropped."""
    port_a, port_b = free_port(), free_port()
    a = opened(f'udp://127.0.0.1:{port_b}?bind=127.0.0.1:{port_a}')
    b = opened(f'udp://localhost:{port_a}?bind=127.0.0.1:{port_b}')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b'foreign', ('127.0.0.1', port_b))
    a.send(bytes(201))
    a.send(bytes(200))
    assert receive(b) == bytes(200)
    b.send(b'back')
    assert receive(a) == b'back'
    assert (b.counts.foreign, b.counts.corrupt, b.counts.received) == (1, 1, 1)
    assert (a.overhead_bytes, a.counts.sent) == (28, 2)


def test_udp_answers_the_sender_that_was_confirmed(opened):
    """A base without a remote follows the robot; a stranger does not take its place."""
    base = opened('udp://?bind=127.0.0.1:0')
    assert isinstance(base, UdpTransport)
    url = 'udp://{}:{}'.format(*base.address)
    base.send(b'too early')
    assert base.counts.send_failed == 1
    robot, stranger, moved = opened(url), opened(url), opened(url)
    for sender, genuine, answered in ((robot, True, robot), (stranger, False, robot),
                                      (moved, True, moved)):
        sender.send(b'hello')
        assert receive(base) == b'hello'
        if genuine:
            base.confirm()
        base.send(b'answer')
        assert receive(answered) == b'answer'
    assert stranger.counts.received == 0


def test_udp_peer_away(opened):
    """Nobody listens: no exception, no end; when the peer is there it is reached."""
    port = free_port()
    a = opened(f'udp://127.0.0.1:{port}')
    for _ in range(20):
        a.send(b'anybody?')
        assert a.receive(0.0) is None
    exchange(a, opened(f'udp://?bind=127.0.0.1:{port}'), b'there you are')


def test_udp_counts_what_the_network_refuses(opened):
    """A datagram that no route takes, or that is too long for UDP, costs only itself."""
    port = free_port()
    b = opened(f'udp://?bind=127.0.0.1:{port}')
    a = opened(f'udp://127.0.0.1:{port}')
    a.send(bytes(70_000))
    assert (a.counts.send_failed, 'too long' in a.counts.last_error) == (1, True)
    a.send(b'fine')
    assert receive(b) == b'fine'


def test_udp_ipv6(opened):
    """Brackets, and the longer IP header."""
    try:
        base = opened('udp://?bind=[::1]:0')
    except TransportError:
        pytest.skip('no IPv6 here')
    assert isinstance(base, UdpTransport)
    robot = opened(f'udp://[::1]:{base.address[1]}')
    robot.send(b'six')
    assert (receive(base), robot.overhead_bytes) == (b'six', 48)


def test_udp_that_cannot_be_opened(opened):
    """An address in use and a name that nobody knows are typed errors that repeat the URL."""
    taken = opened('udp://?bind=127.0.0.1:0')
    assert isinstance(taken, UdpTransport)
    for url in (f'udp://?bind=127.0.0.1:{taken.address[1]}', 'udp://no-such-host.invalid:7400'):
        with pytest.raises(TransportError) as refused:
            open_transport(url, mtu=200)
        assert url in str(refused.value)


@pytest.mark.parametrize('kind', ['udp', 'serial', 'zenoh'])
def test_wake_ends_the_wait(opened, request, kind):
    """From another thread, and also if it comes before the wait."""
    if kind != 'udp' and not find_spec(kind):
        pytest.skip(f'{kind} is not installed')
    url = {'udp': 'udp://?bind=127.0.0.1:0',
           'serial': '' if kind != 'serial' else request.getfixturevalue('line').url,
           'zenoh': f'zenoh://?listen=127.0.0.1:{free_port(socket.SOCK_STREAM)}'}[kind]
    transport = opened(url)
    started = time.monotonic()
    transport.wake()
    assert transport.receive(PATIENCE_S) is None
    timer = threading.Timer(0.1, transport.wake)
    timer.start()
    assert transport.receive(PATIENCE_S) is None
    timer.join()
    assert 0.1 <= time.monotonic() - started < PATIENCE_S / 2


def test_sleeper_outlives_many_wakes():
    """Calls that nobody waits for neither block nor add up."""
    sleeper = Sleeper()
    for _ in range(5000):
        sleeper.wake()
    while sleeper.wait(None, 0.0):
        pass
    started = time.monotonic()
    sleeper.wait(None, 0.05)
    assert time.monotonic() - started >= 0.045
    sleeper.close()


def test_backoff():
    """Waits double up to a limit and start over after a success."""
    backoff, waits = Backoff(), []
    for _ in range(8):
        backoff.failed(100.0)
        waits.append(round(backoff.remaining_s(100.0), 3))
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert backoff.remaining_s(100.0 + LONGEST_WAIT_S) == 0
    backoff.worked()
    backoff.failed(200.0)
    assert backoff.remaining_s(200.0) == pytest.approx(0.1)


# Serial ports: a pseudo terminal stands for the port, the test for the radio behind it

class Line:
    """A pseudo terminal with a fixed name, which can be cut and laid again."""

    def __init__(self, folder: Path) -> None:
        self._name = folder / 'ttyRADIO'
        self.url = f'serial://{self._name}?baud=57600'
        self.lay()

    def lay(self) -> None:
        """Make the device."""
        self.radio, port = os.openpty()
        tty.setraw(port)
        self._name.symlink_to(os.ttyname(port))
        os.close(port)

    def cut(self) -> None:
        """Unplug it."""
        os.close(self.radio)
        self._name.unlink()


@pytest.fixture
def line(tmp_path) -> Iterator[Line]:
    """Lay a line."""
    made = Line(tmp_path)
    yield made
    os.close(made.radio)


def heard(line: Line, deframer: Deframer) -> bytes:
    """Wait for the next datagram at the radio."""
    while True:
        found = deframer.feed(os.read(line.radio, 4096))
        if found:
            return found[0]


@needs_serial
def test_serial_both_ways(opened, line):
    """Frames in and out, several at once, none lost; noise before, between and behind."""
    port = opened(line.url)
    port.send(b'a\0b')
    assert heard(line, Deframer(200)) == b'a\0b'
    datagrams = [bytes([number]) * number for number in range(1, 40)]
    noise = random.Random(3)
    for datagram in datagrams:
        os.write(line.radio, noise.randbytes(3) + frame(datagram))
    assert [receive(port) for _ in datagrams] == datagrams
    assert port.counts.received == len(datagrams)
    assert port.counts.corrupt > 0
    assert port.overhead_bytes == 5


@needs_serial
def test_serial_port_that_vanishes_is_opened_again(opened, line):
    """Cut: counted, not raised, and no core is kept busy; laid again: frames go both ways."""
    port = opened(line.url)
    line.cut()
    used_s = time.process_time()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        port.send(b'into the void')
        assert port.receive(0.05) is None
    assert time.process_time() - used_s < 0.5
    assert port.counts.send_failed >= 5
    assert port.counts.receive_failed + port.counts.send_failed < 100
    assert 'ttyRADIO' in port.counts.last_error or 'gone' in port.counts.last_error or \
        'away' in port.counts.last_error
    line.lay()
    deadline = time.monotonic() + PATIENCE_S
    while not port.counts.reopened:
        assert time.monotonic() < deadline
        port.receive(0.1)
    port.send(b'again')
    assert heard(line, Deframer(200)) == b'again'
    os.write(line.radio, frame(b'and back'))
    assert receive(port) == b'and back'


@needs_serial
def test_serial_that_cannot_be_opened(opened, line, tmp_path):
    """No such port, a port in use, a speed that no port has."""
    opened(line.url)
    for url in (f'serial://{tmp_path}/none', line.url, 'serial:///dev/null?baud=57600'):
        with pytest.raises(TransportError) as refused:
            open_transport(url, mtu=200)
        assert url in str(refused.value)


@needs_serial
def test_serial_line_that_does_not_drain(opened, line):
    """Nobody reads: sending gives up soon, and says so."""
    port = opened(line.url, mtu=1500)
    started = time.monotonic()
    for _ in range(20):
        port.send(bytes(1500))
        if port.counts.send_failed:
            break
    assert port.counts.send_failed == 1
    assert time.monotonic() - started < 5


# zenoh

@needs_zenoh
def test_zenoh_both_ways_and_back_after_a_restart(opened):
    """Two sessions, peer to peer; one of them is away for a while; nobody hears himself."""
    port = free_port(socket.SOCK_STREAM)
    robot = opened(f'zenoh://127.0.0.1:{port}?key=robot7/link')
    robot.send(b'nobody is there yet')
    base = open_transport(f'zenoh://?listen=127.0.0.1:{port}&key=robot7/link', mtu=200)
    exchange(robot, base, b'up')
    exchange(base, robot, b'down')
    base.close()
    robot.send(b'lost')
    base = opened(f'zenoh://?listen=127.0.0.1:{port}&key=robot7/link')
    exchange(robot, base, b'up again')
    robot.send(bytes(201))
    robot.send(b'last')
    while receive(base) != b'last':
        pass
    assert base.counts.corrupt == 1
    assert robot.receive(0.2) is None


@needs_zenoh
def test_zenoh_that_cannot_be_opened(opened):
    """An address in use, or a key that zenoh does not take."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        taken = server.getsockname()[1]
        for url in (f'zenoh://?listen=127.0.0.1:{taken}',
                    f'zenoh://127.0.0.1:{free_port(socket.SOCK_STREAM)}?key=/a//b'):
            with pytest.raises(TransportError) as refused:
                open_transport(url, mtu=200)
            assert url in str(refused.value)
