"""
An emulated radio between the two ends of the link: datagrams cross no faster than a thin link.

    python -m gsc_ros.link.radio --robot 127.0.0.1:47402 --base 127.0.0.1:47400 --kbps 8 --loss 5

The robot's end sends to ``--robot``, the base station's listens on ``--base``; answers go back to
where the robot's last datagram came from.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from typing import Protocol

from gsc_ros.codec.errors import GscError
from gsc_ros.link.emulator import Line, Passage
from gsc_ros.link.line_settings import add_line_arguments, line_settings, LineSettings
from gsc_ros.link.transports.common import split_address
from gsc_ros.units import SECOND_NS

MAX_DATAGRAM = 2048
_SO_TIMESTAMPNS = 35   # Linux; the socket module does not name it
_STAMP = struct.Struct('@ll')


class Ends(Protocol):
    """Where datagrams come from and go to: end 0 is the robot's, end 1 the base station's."""

    def files(self) -> Sequence[int]:
        """Descriptors to watch, by end."""
        ...

    def read(self, end: int) -> tuple[bytes, int, int] | None:
        """Return the next datagram, its bytes without headers, and its time (``time.time_ns``)."""
        ...

    def write(self, end: int, datagram: bytes) -> None:
        """Deliver to an end."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class UdpEnds:
    """
    A socket that the robot sends to, and one that faces the base station.

    Times are the kernel's: they are right even when this process was late.
    """

    def __init__(self, robot: tuple[str, int], base: tuple[str, int]) -> None:
        """
        Listen on ``robot`` (port 0: any), face ``base``, which may be absent for now.

        :raises OSError: if the address is taken.
        """
        self._peers: list[tuple[str, int] | None] = [None, base]
        self._sockets: list[socket.socket] = []
        for address in (robot, ('0.0.0.0', 0)):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(made)
            made.bind(address)
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    @property
    def port(self) -> int:
        """The port that the robot sends to."""
        return int(self._sockets[0].getsockname()[1])

    def files(self) -> Sequence[int]:
        """Return both sockets."""
        return [made.fileno() for made in self._sockets]

    def read(self, end: int) -> tuple[bytes, int, int] | None:
        """Return the next datagram with the kernel's time."""
        try:
            datagram, extra, _, sender = self._sockets[end].recvmsg(MAX_DATAGRAM, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return None
        if end == 0:
            self._peers[0] = sender
        at_ns = time.time_ns()
        if extra:
            seconds, nanoseconds = _STAMP.unpack(extra[0][2])
            at_ns = seconds * SECOND_NS + nanoseconds
        return datagram, len(datagram), at_ns

    def write(self, end: int, datagram: bytes) -> None:
        """Send to the peer of that end; what nobody can take is lost."""
        peer = self._peers[end]
        if peer is not None:
            try:
                self._sockets[end].sendto(datagram, peer)
            except OSError:
                pass

    def close(self) -> None:
        """Close both sockets."""
        for made in self._sockets:
            made.close()


class Radio:
    """Carries datagrams between two ends, in ``run`` or, as a context, in a thread."""

    def __init__(self, ends: Ends, up: LineSettings, down: LineSettings, seed: int, *,
                 keep_log: bool = False) -> None:
        """``up`` is from robot to base; with ``keep_log`` ``logs`` notes every datagram."""
        self._ends, self._seed, self._keep_log = ends, seed, keep_log
        self._stop_in, self._stop_out = os.pipe()
        self._thread = threading.Thread(target=self.run, name='radio', daemon=True)
        self._lock = threading.Lock()
        self.change(up, down)

    def change(self, up: LineSettings, down: LineSettings) -> None:
        """Start over with other lines, times and logs; what is under way is lost."""
        logs: tuple[list[Passage], list[Passage]] = ([], [])
        start_ns = time.time_ns()
        lines = [Line[bytes](settings, self._seed + number, start_ns,
                             logs[number] if self._keep_log else None)
                 for number, settings in enumerate((up, down))]
        with self._lock:
            self.logs, self.lines = logs, lines

    def __enter__(self) -> Radio:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._thread.join()
        self.close()

    def stop(self) -> None:
        """End ``run``; may be called from any thread or signal handler."""
        os.write(self._stop_out, b'x')

    def close(self) -> None:
        """Release everything."""
        self._ends.close()
        os.close(self._stop_in)
        os.close(self._stop_out)

    def run(self) -> None:
        """Carry datagrams until stopped."""
        with selectors.DefaultSelector() as selector:
            for end, file in enumerate(self._ends.files()):
                selector.register(file, selectors.EVENT_READ, end)
            selector.register(self._stop_in, selectors.EVENT_READ, None)
            while True:
                for key, _ in selector.select(self._wait_s()):
                    if key.data is None:
                        return
                    self._take(key.data)
                self._deliver()

    def _wait_s(self) -> float:
        with self._lock:
            times = [at_ns for line in self.lines if (at_ns := line.next_ns()) is not None]
        return max(0.0, (min(times) - time.time_ns()) / SECOND_NS) if times else 1.0

    def _take(self, end: int) -> None:
        while (found := self._ends.read(end)) is not None:
            datagram, size, at_ns = found
            with self._lock:
                self.lines[end].offer(datagram, size, at_ns)

    def _deliver(self) -> None:
        for end, line in enumerate(self.lines):
            with self._lock:
                arrived = line.arrived(time.time_ns())
            for datagram in arrived:
                self._ends.write(1 - end, datagram)


def main(args: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    for name, text in (('--robot', 'listen here for the robot'),
                       ('--base', 'where the base station listens')):
        parser.add_argument(name, required=True, metavar='HOST:PORT', help=text)
    parser.add_argument('--kbps', type=float, default=8.0, metavar='K',
                        help='speed each way in 1000 bit/s (default %(default)g)')
    add_line_arguments(parser)
    parser.add_argument('--seed', type=int, default=1, help='of the losses')
    parser.add_argument('--name', default='gsc_radio', help='in the log')
    values = parser.parse_args(args)
    try:
        line = line_settings(values.kbps, values.loss, values.delay, values.burst)
        ends = UdpEnds(split_address(values.robot, values.robot),
                       split_address(values.base, values.base))
    except (GscError, OSError) as error:
        print(f'radio: error: {error}', file=sys.stderr)
        return 1
    radio = Radio(ends, line, line, values.seed)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: radio.stop())
    print(f'[{values.name}]: active: {values.robot} <-> {values.base}, {values.kbps:g} kbit/s, '
          f'{values.delay:g} ms, loss {values.loss:g} %', flush=True)
    radio.run()
    radio.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
