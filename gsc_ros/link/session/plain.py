"""Framing without a key, the same for both ends."""
from __future__ import annotations

import zlib

from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.wire.crypto import AuthError
from gsc_ros.link.wire.datagrams import (
    Datagram,
    Head,
    Kind,
    plain_overhead,
    read_head,
    read_plain,
    write_plain,
)


class PlainSession:
    """Numbers this end's datagrams; anybody may write such."""

    ready = True
    fresh = False  # whether the datagram opened last began a session: there are none

    def __init__(self, boot: int) -> None:
        """``boot``: random at every start, so that the other end can tell a restart."""
        self._number = boot % SEQUENCES
        self._run = zlib.crc32(b'%d' % boot) % 256

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return plain_overhead(kind)

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return the datagram's number and the datagram."""
        self._number = (self._number + 1) % SEQUENCES
        return self._number, write_plain(head, self._number, body, self._run)

    def open(self, datagram: bytes) -> Datagram:
        """
        Undo ``seal``.

        :raises LinkError: for a malformed datagram.
        :raises AuthError: for one that is sealed.
        """
        if read_head(datagram).sealed:
            raise AuthError('sealed, but no key is set')
        return read_plain(datagram)
