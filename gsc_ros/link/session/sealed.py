"""One session under a key: the ciphers of a pair of words, and the numbers of its datagrams."""
from __future__ import annotations

from gsc_ros.codec.errors import GscError
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.session.replay import ahead, NumberWindow
from gsc_ros.link.wire.crypto import AuthError, Keys, Purpose, ReplayError, Sealed, Word
from gsc_ros.link.wire.datagrams import Datagram, Head


class NotReadyError(GscError):
    """Nothing can be sealed before there is a session."""


class UnknownSessionError(AuthError):
    """A sealed datagram of a session that is not known here: of a restarted end, or forged."""

    def __init__(self, sealed: Sealed) -> None:
        super().__init__('of an unknown session')
        self.sealed = sealed


class Session:
    """What a pair of words gives: a cipher each way, our numbers, and which of theirs came."""

    def __init__(self, keys: Keys, robot: Word, base: Word, *, at_robot: bool) -> None:
        """Derive the ciphers; numbers begin at 1."""
        self.robot, self.base = robot, base
        directions = [keys.derive(purpose, robot, base)
                      for purpose in (Purpose.TO_BASE, Purpose.TO_ROBOT)]
        self._out, self._in = directions if at_robot else reversed(directions)
        self._sent = self._highest = 0
        self._window = NumberWindow()

    @property
    def id(self) -> int:
        """What datagrams to us show of this session, 16 bits."""
        return self._in.id

    @property
    def their_id(self) -> int:
        """What our datagrams show of it, 16 bits."""
        return self._out.id

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return the datagram's number modulo 2^16 and the datagram."""
        self._sent += 1
        return self._sent % SEQUENCES, self._out.seal(head, self._sent, body)

    def open(self, sealed: Sealed) -> Datagram | None:
        """
        Return the opened datagram, None for one of another session or altered.

        :raises ReplayError: for one that was opened before, or is too old to know.
        """
        number = self._highest + ahead(sealed.number, self._highest % SEQUENCES)
        opened = self._in.unseal(sealed, number) if number > 0 else None
        if opened is None:
            return None
        if not self._window.add(sealed.number):
            raise ReplayError('number', sealed.number, 'not seen before')
        self._highest = max(number, self._highest)
        return Datagram(opened.head, opened.number, opened.body, self.robot.run)
