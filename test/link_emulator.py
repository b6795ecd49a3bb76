"""
A thin link between two UDP endpoints, in user space: rate, delay, jitter, loss, bursts, queue.

``Line`` is one direction and only calculates; ``LinkEmulator`` forwards real datagrams between two
addresses of the loopback interface, ``NamespaceLink`` real IP packets between two network
namespaces. Both count every byte, IP and UDP headers included, before anything is lost.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import fcntl
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import subprocess
import threading
import time
from typing import Protocol

SECOND_NS = 1_000_000_000
IP_AND_UDP_BYTES = 28


@dataclass(frozen=True)
class Loss:
    """
    Random loss, or with ``burst_s`` a Gilbert-Elliott channel: a good and a bad state in turn.

    ``share`` is the long-run share of datagrams lost. ``burst_s`` is the mean length of a bad
    state, in which everything is lost: fading and shadowing last for a time, not for a number of
    datagrams.
    """

    share: float = 0.0
    burst_s: float = 0.0


class Channel:
    """Says of datagrams, in the order of their times, whether they are lost."""

    def __init__(self, loss: Loss, chance: random.Random) -> None:
        self._loss, self._chance = loss, chance
        self._bad = True
        self._until_ns = 0  # the state lasts so long; a good one comes first

    def loses(self, at_ns: int) -> bool:
        """Whether a datagram that leaves at ``at_ns`` is lost."""
        if not self._loss.burst_s:
            return self._chance.random() < self._loss.share
        while self._until_ns <= at_ns:
            self._bad = not self._bad
            mean_s = self._loss.burst_s
            if not self._bad:
                mean_s *= 1 / self._loss.share - 1
            self._until_ns += round(self._chance.expovariate(1 / mean_s) * SECOND_NS)
        return self._bad


@dataclass(frozen=True)
class LineSettings:
    """
    One direction of a link.

    ``kbps``: speed in 1000 bit/s as (from this second on, speed) in order, or one speed;
    what does not leave the queue within ``queue_s`` is dropped on arrival.
    """

    kbps: float | Sequence[tuple[float, float]] = 64.0
    delay_s: float = 0.0
    jitter_s: float = 0.0   # added evenly between 0 and this; order is kept
    loss: Loss = Loss()
    queue_s: float = 10.0

    @property
    def steps(self) -> list[tuple[float, float]]:
        """Speeds with the seconds from which on they hold; the first holds from 0."""
        return [(0.0, self.kbps)] if isinstance(self.kbps, (int, float)) else list(self.kbps)


@dataclass(frozen=True)
class Passage:
    """What became of one datagram: times since the line's start, ``arrives_ns`` None if lost."""

    at_ns: int
    size: int
    queue_ns: int   # until its first bit was on the line
    fate: str       # 'arrived', 'lost', 'overflow'
    arrives_ns: int | None


@dataclass
class Line:
    """Calculates when datagrams arrive; ``log`` keeps all that were offered."""

    settings: LineSettings
    seed: int
    log: list[Passage] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start idle."""
        self._chance = random.Random(self.seed)
        # Its own chance: bad times are then the same in every run, whatever is sent when.
        self._channel = Channel(self.settings.loss, random.Random(self.seed))
        self._free_ns = self._last_ns = 0

    def offer(self, size: int, at_ns: int) -> int | None:
        """When a datagram of ``size`` wire bytes given at ``at_ns`` arrives; None: it does not."""
        queue_ns = max(0, self._free_ns - at_ns)
        left_ns = self._left_ns(at_ns + queue_ns, size * 8)
        if queue_ns > self.settings.queue_s * SECOND_NS:
            return self._note(Passage(at_ns, size, queue_ns, 'overflow', None))
        self._free_ns = left_ns
        if self._channel.loses(left_ns):
            return self._note(Passage(at_ns, size, queue_ns, 'lost', None))
        flight_s = self.settings.delay_s + self.settings.jitter_s * self._chance.random()
        self._last_ns = max(self._last_ns, left_ns + round(flight_s * SECOND_NS))
        return self._note(Passage(at_ns, size, queue_ns, 'arrived', self._last_ns))

    def _note(self, passage: Passage) -> int | None:
        self.log.append(passage)
        return passage.arrives_ns

    def _left_ns(self, start_ns: int, bits: float) -> int:
        """When ``bits`` that start at ``start_ns`` have left, at the speeds of the schedule."""
        steps = [(round(at_s * SECOND_NS), kbps) for at_s, kbps in self.settings.steps]
        at_ns = start_ns
        for (_, kbps), (end_ns, _) in itertools.pairwise([*steps, (1 << 62, 0.0)]):
            if at_ns < end_ns:
                needs_ns = bits * 1e6 / kbps
                if at_ns + needs_ns <= end_ns:
                    return at_ns + round(needs_ns)
                bits -= (end_ns - at_ns) * kbps / 1e6
                at_ns = end_ns
        raise AssertionError('the last speed holds for ever')


def busiest_second(log: Iterable[Passage]) -> int:
    """Most wire bytes offered in any window of one second."""
    most = total = 0
    window: list[Passage] = []
    first = 0
    for passage in sorted(log, key=lambda p: p.at_ns):
        window.append(passage)
        total += passage.size
        while passage.at_ns - window[first].at_ns >= SECOND_NS:
            total -= window[first].size
            first += 1
        most = max(most, total)
    return most


class Ends(Protocol):
    """Where real datagrams come from and go to: end 0 is the robot's, end 1 the base's."""

    def files(self) -> Sequence[int]:
        """Descriptors to watch, by end."""

    def read(self, end: int) -> tuple[bytes, int, int] | None:
        """Return the next datagram, its wire bytes and its time (``time.time_ns``)."""

    def write(self, end: int, datagram: bytes) -> None:
        """Deliver to an end."""

    def close(self) -> None:
        """Release everything."""


class Forwarder:
    """A thread that carries datagrams between two ends; ``up`` is from robot to base."""

    def __init__(self, ends: Ends, up: LineSettings, down: LineSettings, seed: int) -> None:
        self._ends = ends
        self._flying: list[tuple[int, int, int, bytes]] = []
        self._numbers = itertools.count()
        self._stop_in, self._stop_out = os.pipe()
        self._thread = threading.Thread(target=self._run, name='link', daemon=True)
        self._seed = seed
        self.change(up, down)

    def change(self, up: LineSettings, down: LineSettings) -> None:
        """Start over with other settings, times and logs; what is under way still arrives."""
        self.start_ns = time.time_ns()
        self.lines = (Line(up, self._seed), Line(down, self._seed + 1))

    @property
    def up(self) -> Line:
        """From robot to base."""
        return self.lines[0]

    @property
    def down(self) -> Line:
        """From base to robot."""
        return self.lines[1]

    def __enter__(self) -> Forwarder:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.write(self._stop_out, b'x')
        self._thread.join()
        self._ends.close()
        os.close(self._stop_in)
        os.close(self._stop_out)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end, file in enumerate(self._ends.files()):
                selector.register(file, selectors.EVENT_READ, end)
            selector.register(self._stop_in, selectors.EVENT_READ, None)
            while True:
                wait_s = (self._flying[0][0] - time.time_ns()) / SECOND_NS if self._flying else 1.0
                for key, _ in selector.select(max(0.0, wait_s)):
                    if key.data is None:
                        return
                    self._take(key.data)
                self._deliver()

    def _take(self, end: int) -> None:
        while (found := self._ends.read(end)) is not None:
            datagram, size, at_ns = found
            arrives_ns = self.lines[end].offer(size, at_ns - self.start_ns)
            if arrives_ns is not None:
                heapq.heappush(self._flying, (self.start_ns + arrives_ns, next(self._numbers),
                                              1 - end, datagram))

    def _deliver(self) -> None:
        while self._flying and self._flying[0][0] <= time.time_ns():
            _, _, end, datagram = heapq.heappop(self._flying)
            self._ends.write(end, datagram)


class LoopbackEnds:
    """
    Two UDP sockets on 127.0.0.1, each facing one peer at a fixed address.

    Times are the kernel's: they are right even when this thread was late.
    """

    def __init__(self, robot: int, base: int) -> None:
        """Face the robot's and the base station's port; both may be absent for now."""
        self._peers = [('127.0.0.1', robot), ('127.0.0.1', base)]
        self._sockets = []
        for _ in self._peers:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(('127.0.0.1', 0))
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._sockets.append(made)

    @property
    def ports(self) -> tuple[int, int]:
        """The port that the robot has to send to, and the base station's."""
        robot, base = (made.getsockname()[1] for made in self._sockets)
        return robot, base

    def files(self) -> Sequence[int]:
        """Return both sockets."""
        return [made.fileno() for made in self._sockets]

    def read(self, end: int) -> tuple[bytes, int, int] | None:
        """Return the next datagram with the kernel's time."""
        try:
            datagram, extra, _, _ = self._sockets[end].recvmsg(2048, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return None
        seconds, nanoseconds = struct.unpack('@ll', extra[0][2])
        return (datagram, len(datagram) + IP_AND_UDP_BYTES, seconds * SECOND_NS + nanoseconds)

    def write(self, end: int, datagram: bytes) -> None:
        """Send to the peer of that end."""
        self._sockets[end].sendto(datagram, self._peers[end])

    def close(self) -> None:
        """Close both sockets."""
        for made in self._sockets:
            made.close()


_SO_TIMESTAMPNS = 35  # Linux; the socket module does not name it


@contextmanager
def loopback_link(robot: int, base: int, up: LineSettings, down: LineSettings, seed: int = 1
                  ) -> Iterator[tuple[Forwarder, tuple[int, int]]]:
    """Run a link between two UDP ports of this machine; with the ports to send to."""
    ends = LoopbackEnds(robot, base)
    with Forwarder(ends, up, down, seed) as forwarder:
        yield forwarder, ends.ports


class TunEnds:
    """Two TUN devices, one in each namespace: what is sent into one comes out of the other."""

    def __init__(self, namespaces: Sequence[str], addresses: Sequence[str]) -> None:
        """Make the devices and give them their addresses; needs CAP_NET_ADMIN."""
        self._files = []
        for end, (namespace, address) in enumerate(zip(namespaces, addresses, strict=True)):
            name = f'{namespace[:12]}{end}'
            self._files.append(os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK))
            fcntl.ioctl(self._files[-1], _TUNSETIFF,
                        struct.pack('16sH22x', name.encode(), _IFF_TUN | _IFF_NO_PI))
            ip('link', 'set', name, 'netns', namespace)
            ip('-n', namespace, 'addr', 'add', f'{address}/24', 'dev', name)
            ip('-n', namespace, 'link', 'set', name, 'up', 'multicast', 'off')

    def files(self) -> Sequence[int]:
        """Return both devices."""
        return self._files

    def read(self, end: int) -> tuple[bytes, int, int] | None:
        """Return the next IPv4 packet; others, such as IPv6 router solicitations, are dropped."""
        while True:
            try:
                packet = os.read(self._files[end], 2048)
            except BlockingIOError:
                return None
            if packet[0] >> 4 == 4:
                return packet, len(packet), time.time_ns()

    def write(self, end: int, datagram: bytes) -> None:
        """Put a packet into a namespace."""
        try:
            os.write(self._files[end], datagram)
        except OSError:
            pass  # the device goes down with its namespace

    def close(self) -> None:
        """Remove the devices."""
        for file in self._files:
            os.close(file)


_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454ca, 0x0001, 0x1000


def ip(*words: str) -> None:
    """Run the ``ip`` command; CalledProcessError carries what it said."""
    subprocess.run(['ip', *words], check=True, capture_output=True)


@contextmanager
def two_namespaces() -> Iterator[tuple[str, str]]:
    """Make two network namespaces with nothing but loopback; OSError where not permitted."""
    names = (f'gsc{os.getpid()}r', f'gsc{os.getpid()}b')
    made = []
    try:
        for name in names:
            try:
                ip('netns', 'add', name)
            except subprocess.CalledProcessError as error:
                raise PermissionError(error.stderr.decode()) from error
            made.append(name)
            ip('-n', name, 'link', 'set', 'lo', 'up')
        yield names
    finally:
        for name in made:
            ip('netns', 'del', name)


@contextmanager
def namespace_link(up: LineSettings, down: LineSettings, seed: int = 1
                   ) -> Iterator[tuple[Forwarder, tuple[str, str], tuple[str, str]]]:
    """Run a link between two new namespaces; with their names and addresses."""
    addresses = ('10.77.0.1', '10.77.0.2')
    with two_namespaces() as names:
        with Forwarder(TunEnds(names, addresses), up, down, seed) as forwarder:
            yield forwarder, names, addresses
