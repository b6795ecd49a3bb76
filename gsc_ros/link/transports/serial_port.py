"""Datagrams over a serial port, such as that of a radio modem."""
from __future__ import annotations

from collections import deque
import errno
import threading
import time
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.transports.common import (
    Backoff,
    Sleeper,
    split_url,
    TransportCounts,
    TransportError,
)
from gsc_ros.link.transports.framing import Deframer, frame, frame_overhead

BITS_PER_BYTE = 10        # start, 8 data, stop
MOST_WAITING_S = 0.25     # of line time before the port: what waits there is late and blocks
WRITE_TIMEOUT_S = 0.2
DEFAULT_BAUD = 57600


class SerialTransport:
    """
    ``serial:///dev/ttyUSB0?baud=57600``: 8 data bits, no parity, one stop bit, no flow control.

    A port that vanishes (unplugged, modem reset) is opened again when it is back. ``baud`` is the
    speed between computer and modem; the radio behind it may be slower.
    """

    def __init__(self, url: str, *, mtu: int) -> None:
        """
        Open the port.

        :raises InvalidInputError: if the URL is not of that form.
        :raises TransportError: if there is no such port, or it is in use.
        :raises MissingDependencyError: without pyserial.
        """
        self.counts = TransportCounts()
        self.overhead_bytes = frame_overhead(mtu)
        self._path, self._baud = _parse(url)
        self._most_waiting = int(self._baud / BITS_PER_BYTE * MOST_WAITING_S)
        self._mtu = mtu
        self._sleeper = Sleeper()
        self._backoff = Backoff()
        self._lock = threading.Lock()  # guards the port against being opened twice
        self._arrived: deque[bytes] = deque()
        try:
            self._port: Any = self._open()
        except (OSError, ValueError) as error:
            self._sleeper.close()
            raise TransportError(url, error) from error

    def send(self, datagram: bytes) -> None:
        """Write a frame; without a port, or if earlier ones still wait, count and drop."""
        port = self._ready_port()
        if port is None:
            self.counts.failed_to_send('the port is away')
            return
        try:
            if port.out_waiting > self._most_waiting:
                self.counts.failed_to_send(f'the line is slower than {self._baud} baud or the '
                                           'ceiling is above it')
                return
            port.write(frame(datagram))
            self.counts.sent += 1
        except (OSError, TypeError) as error:  # TypeError: closed by the other thread meanwhile
            self.counts.failed_to_send(error)
            if not _is_timeout(error):
                self._lose(port, error)

    def reply(self, datagram: bytes) -> None:
        """Send: everybody hears it."""
        self.send(datagram)

    def receive(self, timeout_s: float) -> bytes | None:
        """Wait for a whole frame; see Transport."""
        if not self._arrived:
            port = self._ready_port()
            if port is None:
                rest_s = self._backoff.remaining_s(time.monotonic())
                self._sleeper.wait(None, min(timeout_s, rest_s))
                return None
            self._read(port, timeout_s)
        if not self._arrived:
            return None
        self.counts.received += 1
        return self._arrived.popleft()

    def _read(self, port: Any, timeout_s: float) -> None:
        try:
            if not self._sleeper.wait(port.fileno(), timeout_s):
                return
            data = port.read(max(1, port.in_waiting))
            if not data:
                raise OSError(errno.EIO, 'the port has gone')
        except (OSError, TypeError) as error:
            self.counts.failed_to_receive(error)
            self._lose(port, error)
            return
        self._arrived.extend(self._deframer.feed(data))
        self.counts.corrupt += self._deframer.corrupt
        self._deframer.corrupt = 0

    def _ready_port(self) -> Any:
        """Return the port, opened again if that is due; None while it is away."""
        with self._lock:
            now_s = time.monotonic()
            if self._port is None and not self._backoff.remaining_s(now_s):
                try:
                    self._port = self._open()
                    self.counts.reopened += 1
                except (OSError, ValueError) as error:
                    self.counts.last_error = f'open: {error}'
                    self._backoff.failed(now_s)
            return self._port

    def _open(self) -> Any:
        serial = _pyserial()
        port = serial.Serial(self._path, self._baud, timeout=0, write_timeout=WRITE_TIMEOUT_S,
                             exclusive=True)
        self._deframer = Deframer(self._mtu)
        return port

    def _lose(self, port: Any, error: Exception) -> None:
        with self._lock:
            if self._port is port:
                self._port = None
                self._backoff.failed(time.monotonic())
                self.counts.last_error = f'the port has gone: {error}'
        port.close()

    def wake(self) -> None:
        """End ``receive``."""
        self._sleeper.wake()

    def confirm(self) -> None:
        """Do nothing: a line has one other end."""

    def close(self) -> None:
        """Close the port."""
        with self._lock:
            if self._port is not None:
                self._port.close()
                self._port = None
        self._sleeper.close()


def _parse(url: str) -> tuple[str, int]:
    parts, query = split_url(url, ('baud',))
    baud = query.get('baud', str(DEFAULT_BAUD))
    if parts.netloc or len(parts.path) < 2 or not baud.isdecimal() or not int(baud):
        raise InvalidInputError('link', url, 'serial:///dev/NAME?baud=NUMBER')
    return parts.path, int(baud)


def _pyserial() -> Any:
    try:
        import serial  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependencyError('pyserial', 'pip install pyserial==3.5') from error
    return serial


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, _pyserial().SerialTimeoutException)
