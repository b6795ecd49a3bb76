"""
Sessions of the two ends under a pre-shared key: which words choose the ciphers, and when.

A word is 64 random bits for each start of an end (its *run*) and a serial number. A robot's word
and a base station's word together give a session's keys, one for each direction::

    robot                                          base station
      │  HELLO: word r, proof of the key             │
      ├─────────────────────────────────────────────►│  draws word b for r
      │               ANSWER: word b, sealed for r   │
      │◄─────────────────────────────────────────────┤  still in the session before, if any
      │  session (r, b) begins here                  │
      │  DATA, INFO, DONE under key(r, b, to base)   │
      ├─────────────────────────────────────────────►│  session (r, b) begins here:
      │                                              │  the robot has heard b, so it is there now
      │      REPORT, REQUEST under key(r, b, to robot)
      │◄─────────────────────────────────────────────┤
      │  the next HELLO has another word             │  every other r gets another b

* A robot says HELLO when it has no session, when it has heard nothing for long, and when a base
  station asks for it (a HELLO in the other direction): one that was restarted knows no session
  and cannot open what arrives.
* Neither end leaves its session because somebody calls; a robot leaves it for a valid ANSWER to
  its present word, a base station for a datagram that opens in the session it has answered with.
* A recorded datagram is worthless: of another run or an earlier session it does not open, because
  its pair of words is gone; of this session its number has been seen.
* No nonce is used twice: words do not repeat, and numbers are counted in 64 bits, of which a
  datagram shows the low 16.

Each end takes the next serial number with each session, so that an ANSWER to an earlier HELLO
does not open. No word is renewed within a session: it lasts until one end is started again.
"""
from __future__ import annotations

from collections import OrderedDict

from gsc_ros.link.session.sealed import NotReadyError, Session, UnknownSessionError
from gsc_ros.link.wire.crypto import (
    AuthError,
    Keys,
    read_sealed,
    ReplayError,
    Sealed,
    SEALED_BYTES,
    Word,
)
from gsc_ros.link.wire.datagrams import Datagram, Head, Kind, read_head

# Robots that have been answered and have not spoken since; the one answered first gives way.
MOST_ANSWERED = 64
RUNS, SERIALS = 1 << 64, 1 << 32


class RobotSession:
    """A robot's side: has a session once a base station has answered its HELLO."""

    def __init__(self, key: bytes, boot: int) -> None:
        """``key``: 32 bytes; ``boot``: 64 bits, random at every start."""
        self._keys = Keys(key)
        self._calling = Word(boot % RUNS, 0)
        self._session: Session | None = None
        self._answer = b''         # that began the session; it may come again
        self.fresh = False         # whether the datagram opened last began a session
        self.hello_wanted = False  # a base station asks for HELLO
        self.period_ms = 0         # of the base station's reports, as it says

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return SEALED_BYTES

    @property
    def ready(self) -> bool:
        """Tell whether there is a session."""
        return self._session is not None

    @property
    def base_run(self) -> int | None:
        """Run of the base station that the session is with, 64 bits."""
        return self._session.base.run if self._session else None

    def hello(self) -> bytes:
        """Return the HELLO with our present word."""
        self.hello_wanted = False
        return self._keys.write_hello(self._calling)

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """
        Return the datagram's number and the datagram.

        :raises NotReadyError: before a base station has answered.
        """
        if self._session is None:
            raise NotReadyError('no base station has answered yet')
        return self._session.seal(head, body)

    def open(self, datagram: bytes) -> Datagram:
        """
        Undo a base station's ``seal``, ``answer`` or ``hello``.

        :raises AuthError: for what no base station with our key made for this session.
        :raises ReplayError: for what came before.
        :raises LinkError: for a malformed datagram.
        """
        self.fresh = False
        head = read_head(datagram)
        if head.kind is Kind.HELLO and head.sealed:
            self._on_wanted(datagram)
            return Datagram(head, 0, b'')
        if head.kind is Kind.ANSWER and head.sealed:
            self._on_answer(datagram)
            return Datagram(head, 0, b'')
        sealed = read_sealed(datagram)
        opened = None
        if self._session and sealed.id == self._session.id:
            opened = self._session.open(sealed)
        if opened is None:
            raise UnknownSessionError(sealed)
        return opened

    def _on_wanted(self, datagram: bytes) -> None:
        if self._session is None or self._keys.read_wanted(datagram) != self._session.their_id:
            raise AuthError('asks for another robot')
        self.hello_wanted = True

    def _on_answer(self, datagram: bytes) -> None:
        if datagram == self._answer:
            raise ReplayError('answer', 'the one that began the session', 'another')
        base, self.period_ms = self._keys.read_answer(self._calling, datagram)
        self._session = Session(self._keys, self._calling, base, at_robot=True)
        self._calling, self._answer = _after(self._calling), datagram
        self.fresh, self.hello_wanted = True, False


class BaseSession:
    """A base station's side: answers robots that prove the key, believes the one that is there."""

    def __init__(self, key: bytes, boot: int) -> None:
        """``key``: 32 bytes; ``boot``: 64 bits, random at every start."""
        self._keys = Keys(key)
        self._word = Word(boot % RUNS, 0)
        self._session: Session | None = None
        self._answered: OrderedDict[Word, Session] = OrderedDict()
        self.fresh = False  # whether the datagram opened last began a session

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return SEALED_BYTES

    @property
    def ready(self) -> bool:
        """Tell whether there is a session."""
        return self._session is not None

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """
        Return the datagram's number and the datagram.

        :raises NotReadyError: without a session.
        """
        if self._session is None:
            raise NotReadyError('no robot is known yet')
        return self._session.seal(head, body)

    def read_hello(self, datagram: bytes) -> Word:
        """
        Return the word of a robot that has the key.

        :raises AuthError: for anybody else.
        """
        return self._keys.read_hello(datagram)

    def answer(self, robot: Word, period_ms: int) -> bytes:
        """Return the ANSWER to a robot's HELLO; the same as long as it is the same word."""
        if robot not in self._answered:
            self._word = _after(self._word)
            self._answered[robot] = Session(self._keys, robot, self._word, at_robot=False)
            if len(self._answered) > MOST_ANSWERED:
                self._answered.popitem(last=False)
        return self._keys.write_answer(robot, self._answered[robot].base, period_ms)

    def want_hello(self, sealed: Sealed) -> bytes:
        """Return what asks the sender of a datagram of an unknown session for its HELLO."""
        return self._keys.write_wanted(sealed)

    def open(self, datagram: bytes) -> Datagram:
        """
        Undo a robot's ``seal``.

        :raises UnknownSessionError: for what belongs neither to the session nor to an ANSWER.
        :raises ReplayError: for what came before.
        :raises LinkError: for a malformed datagram.
        """
        self.fresh = False
        sealed = read_sealed(datagram)
        if self._session and sealed.id == self._session.id:
            opened = self._session.open(sealed)
            if opened:
                return opened
        for word, session in self._answered.items():
            opened = session.open(sealed) if sealed.id == session.id else None
            if opened:
                self._begin(word)
                return opened
        raise UnknownSessionError(sealed)

    def _begin(self, robot: Word) -> None:
        """Take the session that a robot has taken; all before it are gone for good."""
        while (oldest := next(iter(self._answered))) != robot:
            del self._answered[oldest]  # what was sent in it may have been held back
        self._session = self._answered.pop(robot)
        self.fresh = True


def _after(word: Word) -> Word:
    return Word(word.run, (word.serial + 1) % SERIALS)
