"""The emulated radio between two network namespaces, whose processes have no other way."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import fcntl
import os
import struct
import subprocess
import time

from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.radio import Radio

IP_BYTES = 28   # of an IPv4 packet with a UDP datagram; the line counts them itself


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
                return packet, len(packet) - IP_BYTES, time.time_ns()

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
def namespace_link(line: LineSettings, seed: int = 1
                   ) -> Iterator[tuple[Radio, tuple[str, str], tuple[str, str]]]:
    """Run a radio, the same line each way, between two new namespaces with names and addresses."""
    addresses = ('10.77.0.1', '10.77.0.2')
    with two_namespaces() as names:
        with Radio(TunEnds(names, addresses), line, line, seed, keep_log=True) as radio:
            yield radio, names, addresses
