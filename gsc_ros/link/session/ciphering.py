"""
Framing of one run: numbers, and with a pre-shared key the words that choose the ciphers.

Each side starts with a random 32-bit word of its own and sends it in clear with every datagram.
A cipher belongs to a direction and a pair of words: the receiver's word makes a datagram fresh
(what was recorded in another run does not open), the sender's word and number make the nonce
unique. So that two runs never share a pair, a robot takes a new word when it meets a base
station's word for the first time, and a base station shows a caller that it does not know a word
that nobody has used yet. Nothing waits for a handshake: any datagram tells its sender's word.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from gsc_ros.codec.errors import GscError
from gsc_ros.link.session.replay import ahead, NumberWindow
from gsc_ros.link.wire.crypto import (
    AuthError,
    Ciphers,
    read_hello,
    read_sealed,
    ReplayError,
    Sealed,
    SEALED_BYTES,
    TO_BASE,
    TO_ROBOT,
    write_hello,
)
from gsc_ros.link.wire.datagrams import (
    Datagram,
    Head,
    Kind,
    plain_overhead,
    read_head,
    read_plain,
    U16,
    write_plain,
)

# Numbers of a word must never lie more than half the range apart, else an old one looks new.
NUMBERS_PER_WORD = 1 << 15
_WORD_BITS = 32


class NotReadyError(GscError):
    """Nothing can be sealed before the other side's word is known."""


class PlainSession:
    """Framing without a key, the same for both sides."""

    ready = True
    fresh = False  # the datagram opened last began another session
    caller: int | None = None

    def __init__(self, boot: int) -> None:
        """``boot``: random, so that a restart shows as a jump of the numbers."""
        self._number = boot % U16

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return plain_overhead(kind)

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return the datagram's number and the datagram."""
        self._number = (self._number + 1) % U16
        return self._number, write_plain(head, self._number, body)

    def hello(self) -> bytes:
        """Nobody needs to be called."""
        raise NotReadyError('HELLO needs a key')

    def answer(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Nobody calls."""
        raise NotReadyError('HELLO needs a key')

    def open(self, datagram: bytes) -> Datagram:
        """Undo ``seal``; LinkError for a malformed one, AuthError for one that is sealed."""
        if read_head(datagram).sealed:
            raise AuthError('sealed, but no key is set')
        return read_plain(datagram)


@dataclass
class _Lane:
    """One of our words: the numbers sent under it, and who uses it towards us."""

    word: int
    number: int
    sent: int = 0
    peer: int | None = None
    window: NumberWindow = field(default_factory=NumberWindow)

    @property
    def full(self) -> bool:
        return self.sent >= NUMBERS_PER_WORD

    def next_number(self) -> int:
        self.sent += 1
        self.number = (self.number + 1) % U16
        return self.number

    def after(self) -> _Lane:
        """Next word; numbers go on, so that whoever counts gaps need not know."""
        return _Lane((self.word + 1) % (1 << _WORD_BITS), self.number)


def _first_lane(boot: int) -> _Lane:
    return _Lane(boot % (1 << _WORD_BITS), boot % U16)


class RobotSession:
    """A robot's side: can seal once any base station has answered."""

    def __init__(self, key: bytes, boot: int) -> None:
        """``key``: 32 bytes; ``boot``: random at every start."""
        self._ciphers = Ciphers(key)
        self._own = _first_lane(boot)
        self._before: _Lane | None = None
        self._peer: int | None = None
        self._window = NumberWindow()

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return SEALED_BYTES

    @property
    def ready(self) -> bool:
        """Tell whether a base station's word is known."""
        return self._peer is not None

    def hello(self) -> bytes:
        """Return the call for a base station."""
        return write_hello(self._own.word)

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return the datagram's number and the datagram; NotReadyError before an answer."""
        if self._peer is None:
            raise NotReadyError('no base station has answered yet')
        if self._own.full:
            self._renew()
        number = self._own.next_number()
        cipher = self._ciphers.get(TO_BASE, self._own.word, self._peer)
        return number, cipher.seal(head, self._own.word, number, body)

    def open(self, datagram: bytes) -> Datagram:
        """Undo a base station's ``seal``; AuthError, ReplayError or LinkError."""
        sealed = read_sealed(datagram)
        for lane in self._lanes(sealed.word):
            opened = self._ciphers.get(TO_ROBOT, lane.word, sealed.word).unseal(sealed)
            if opened is not None:
                self._heard(lane, sealed)
                return opened
        raise AuthError('does not open')

    def _lanes(self, peer: int) -> list[_Lane]:
        # Under the word before, only the base station that is already known is heard.
        before = self._before if peer == self._peer else None
        return [self._own] + ([before] if before else [])

    def _heard(self, lane: _Lane, sealed: Sealed) -> None:
        if sealed.word != self._peer:
            self._peer, self._window = sealed.word, NumberWindow()
            self._renew()
        elif lane is self._own:
            self._before = None
        if not self._window.add(sealed.number):
            raise ReplayError('number', sealed.number, 'not seen before')

    def _renew(self) -> None:
        self._before, self._own = self._own, self._own.after()


class BaseSession:
    """A base station's side: answers any caller, believes the one that proves the key."""

    def __init__(self, key: bytes, boot: int) -> None:
        """``key``: 32 bytes; ``boot``: random at every start."""
        self._ciphers = Ciphers(key)
        self._own = self._last = _first_lane(boot)
        self._next: _Lane | None = None
        self.caller: int | None = None  # word of a robot that waits for an answer
        self.fresh = False

    @staticmethod
    def overhead(kind: Kind) -> int:
        """Bytes added to a body."""
        return SEALED_BYTES

    @property
    def ready(self) -> bool:
        """Tell whether a robot is known."""
        return self._own.peer is not None

    def seal(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return a datagram for the robot that is known; NotReadyError if none is."""
        if self._own.peer is None:
            raise NotReadyError('no robot is known yet')
        lane = self._unused() if self._own.full else self._own
        return self._seal_to(lane, self._own.peer, head, body)

    def answer(self, head: Head, body: bytes) -> tuple[int, bytes]:
        """Return a datagram for the caller, under a word that nobody has used."""
        if self.caller is None:
            raise NotReadyError('nobody calls')
        word, self.caller = self.caller, None
        return self._seal_to(self._unused(), word, head, body)

    def _seal_to(self, lane: _Lane, word: int, head: Head, body: bytes) -> tuple[int, bytes]:
        number = lane.next_number()
        cipher = self._ciphers.get(TO_ROBOT, word, lane.word)
        return number, cipher.seal(head, lane.word, number, body)

    def _unused(self) -> _Lane:
        if self._own.peer is None and not self._own.full:
            return self._own
        if self._next is None or self._next.full:
            self._next = self._last = self._last.after()
        return self._next

    def open(self, datagram: bytes) -> Datagram:
        """
        Undo a robot's ``seal``; AuthError, ReplayError or LinkError.

        Who sends what does not open may be a restarted robot: it becomes the ``caller``.
        """
        hello = read_hello(datagram)
        if hello is not None:
            self.caller = hello
            return Datagram(Head(Kind.HELLO, sealed=True), 0, b'')
        sealed = read_sealed(datagram)
        for lane in (self._own, self._next):
            opened = self._unseal(lane, sealed) if lane else None
            if lane and opened:
                self._heard(lane, sealed)
                return opened
        self.caller = sealed.word
        raise AuthError('does not open')

    def _unseal(self, lane: _Lane, sealed: Sealed) -> Datagram | None:
        return self._ciphers.get(TO_BASE, sealed.word, lane.word).unseal(sealed)

    def _heard(self, lane: _Lane, sealed: Sealed) -> None:
        if lane.peer is not None and ahead(sealed.word, lane.peer, _WORD_BITS) < 0:
            raise ReplayError('word', sealed.word, f'{lane.peer} or later')
        self.fresh = lane is self._next or lane.peer is None
        if lane is self._next:
            self._own, self._next = lane, None
        if lane.peer != sealed.word:
            lane.peer, lane.window = sealed.word, NumberWindow()
        if not lane.window.add(sealed.number):
            raise ReplayError('number', sealed.number, 'not seen before')
