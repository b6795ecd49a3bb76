"""
Datagrams on a line of bytes: 0, COBS of (datagram, CRC-16), 0.

Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2),
1999) keeps zero bytes out of the frame, so that a receiver is in step again at the next one,
whatever it has missed. The zero in front keeps noise of an idle line out of the frame.
"""
from __future__ import annotations

from binascii import crc_hqx

from gsc_ros.codec.errors import PacketError

CRC_BYTES = 2
_RUN = 254   # most bytes without a zero that one code byte covers


def frame_overhead(size: int) -> int:
    """Most bytes that framing adds to a datagram of ``size`` bytes."""
    return 2 + CRC_BYTES + 1 + (size + CRC_BYTES) // _RUN


def frame(datagram: bytes) -> bytes:
    """Bytes to write for a datagram."""
    checked = datagram + crc_hqx(datagram, 0xffff).to_bytes(CRC_BYTES, 'little')
    return b'\0' + stuff(checked) + b'\0'


def stuff(data: bytes) -> bytes:
    """COBS: the same information without a zero byte."""
    out = bytearray()
    for block in data.split(b'\0'):
        while len(block) >= _RUN:
            out.append(_RUN + 1)
            out += block[:_RUN]
            block = block[_RUN:]
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def unstuff(data: bytes) -> bytes:
    """Inverse of ``stuff``; PacketError if a code byte points behind the end or is zero."""
    out = bytearray()
    at = 0
    while at < len(data):
        end = at + data[at]
        if end == at or end > len(data):
            raise PacketError('COBS code', data[at], f'1..{len(data) - at}')
        out += data[at + 1:end]
        if end - at <= _RUN and end < len(data):
            out.append(0)
        at = end
    return bytes(out)


class Deframer:
    """Finds the datagrams, of at most ``mtu`` bytes, in what a line delivers."""

    def __init__(self, mtu: int) -> None:
        self.corrupt = 0
        self._most = mtu + frame_overhead(mtu)
        self._mtu = mtu
        self._frame = bytearray()
        self._skipping = False  # inside something too long to be a frame

    def feed(self, data: bytes) -> list[bytes]:
        """Take any number of bytes; the datagrams that they complete."""
        *ended, rest = data.split(b'\0')
        datagrams = []
        for piece in ended:
            self._collect(piece)
            if self._frame and not self._skipping:
                datagrams += self._unpack(bytes(self._frame))
            self._frame.clear()
            self._skipping = False
        self._collect(rest)
        return datagrams

    def _collect(self, piece: bytes) -> None:
        if len(self._frame) + len(piece) > self._most and not self._skipping:
            self._skipping = True
            self.corrupt += 1
        if not self._skipping:
            self._frame += piece

    def _unpack(self, stuffed: bytes) -> list[bytes]:
        """Return the one datagram, or none and count."""
        try:
            checked = unstuff(stuffed)
        except PacketError:
            checked = b''
        datagram, crc = checked[:-CRC_BYTES], checked[-CRC_BYTES:]
        if 0 < len(datagram) <= self._mtu and \
                crc == crc_hqx(datagram, 0xffff).to_bytes(CRC_BYTES, 'little'):
            return [datagram]
        self.corrupt += 1
        return []
