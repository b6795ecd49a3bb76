"""
Sealing of single datagrams under a pre-shared key: ChaCha20-Poly1305 (RFC 8439).

Every key that is used is derived from the pre-shared one, for a purpose and the words that both
ends have drawn (docs/LINK.md, section 8). Which words a session has is in session/ciphering.py.
"""
from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
import struct
from typing import NamedTuple

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.codec.sequence import SEQUENCES
from gsc_ros.link.wire.datagrams import Datagram, Head, Kind, LinkError, read_head, write_head

KEY_BYTES = 32
TAG_BYTES = 16
_NONCE_BYTES = 12
_WORD = struct.Struct('<QI')
_CLEAR = struct.Struct('<BHH')
_ECHO = struct.Struct('<HH')
_PERIOD = struct.Struct('<H')
SEALED_BYTES = _CLEAR.size + TAG_BYTES
HELLO_BYTES = 1 + _WORD.size + TAG_BYTES
HELLO_WANTED_BYTES = 1 + _ECHO.size + TAG_BYTES
ANSWER_BYTES = 1 + _WORD.size + _PERIOD.size + TAG_BYTES


class Purpose(IntEnum):
    """What a derived key is for; append-only."""

    TO_BASE = 0       # datagrams of a session, robot to base station
    TO_ROBOT = 1      # datagrams of a session, base station to robot
    HELLO = 2
    HELLO_WANTED = 3
    ANSWER = 4


class Word(NamedTuple):
    """
    What makes a session's keys unlike those of any other session.

    ``run``: 64 bits, random at every start of an end; ``serial``: 32 bits,
    another for each session of that run.
    """

    run: int
    serial: int

    @property
    def packed(self) -> bytes:
        """The 12 bytes on the wire, which also serve as a nonce."""
        return _WORD.pack(*self)


class AuthError(LinkError):
    """A datagram that this key, in this session, does not open."""

    counter = 'auth_failed'

    def __init__(self, reason: str) -> None:
        super().__init__('seal', reason, 'a datagram sealed under the key of this session')


class ReplayError(LinkError):
    """A datagram that was seen before, or belongs to a run that is over."""

    counter = 'replayed'


@dataclass(frozen=True)
class Sealed:
    """A sealed datagram, its clear part read; ``id`` names the session, 16 bits."""

    head: Head
    id: int
    number: int
    data: bytes


class Cipher:
    """One derived key; a nonce is used for one text only."""

    def __init__(self, key: bytes, session_id: int) -> None:
        """``key``: 32 bytes; ``session_id``: what datagrams under it show, 16 bits."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        self.id = session_id
        self._cipher, self._invalid = ChaCha20Poly1305(key), InvalidTag

    def seal(self, head: Head, number: int, body: bytes) -> bytes:
        """Return the datagram; its clear part is authenticated, too. ``number``: below 2^96."""
        head = Head(head.kind, True, head.fragmented, head.inside)
        clear = _CLEAR.pack(write_head(head)[0], self.id, number % SEQUENCES)
        return clear + self.encrypt(_nonce(number), body, clear)

    def unseal(self, sealed: Sealed, number: int) -> Datagram | None:
        """Return the opened datagram, None for one made with another key or altered."""
        clear = sealed.data[:_CLEAR.size]
        body = self.decrypt(_nonce(number), sealed.data[_CLEAR.size:], clear)
        return None if body is None else Datagram(sealed.head, sealed.number, body)

    def encrypt(self, nonce: bytes, text: bytes, clear: bytes) -> bytes:
        """Return ``text`` encrypted, and the tag over it and ``clear``."""
        return self._cipher.encrypt(nonce, text, clear)

    def decrypt(self, nonce: bytes, data: bytes, clear: bytes) -> bytes | None:
        """Undo ``encrypt``; None where the tag is wrong."""
        try:
            return self._cipher.decrypt(nonce, data, clear)
        except self._invalid:
            return None


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, 'little')


class Keys:
    """Derives the keys of sessions and of their beginnings from the pre-shared one."""

    def __init__(self, key: bytes) -> None:
        """
        Take the pre-shared key, 32 bytes.

        :raises InvalidInputError: for another length.
        :raises MissingDependencyError: without the package cryptography.
        """
        if len(key) != KEY_BYTES:
            raise InvalidInputError('key', f'{len(key)} bytes', f'{KEY_BYTES} bytes')
        self._key = key
        self._hello = self.derive(Purpose.HELLO)
        self._wanted = self.derive(Purpose.HELLO_WANTED)

    def derive(self, purpose: Purpose, *words: Word) -> Cipher:
        """Return the cipher for a purpose between words, by HKDF-SHA256 (RFC 5869)."""
        try:
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError as error:
            raise MissingDependencyError('cryptography', 'pip install cryptography') from error
        context = bytes([purpose]) + b''.join(word.packed for word in words)
        made = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES + 2, salt=None,
                    info=b'gsc link 2' + context).derive(self._key)
        return Cipher(made[:KEY_BYTES], int.from_bytes(made[KEY_BYTES:], 'little'))

    def write_hello(self, robot: Word) -> bytes:
        """Return a robot's HELLO: its word and the proof that it has the key."""
        return _write(self._hello, Kind.HELLO, robot.packed)

    def read_hello(self, datagram: bytes) -> Word:
        """Undo ``write_hello``; AuthError for a stranger's, LinkError for a malformed one."""
        packed, _ = self._read(self._hello, datagram, HELLO_BYTES, _WORD.size)
        return Word(*_WORD.unpack(packed))

    def write_wanted(self, sealed: Sealed) -> bytes:
        """Return a base station's HELLO: a datagram came that belongs to no session it knows."""
        echo = _ECHO.pack(sealed.id, sealed.number)
        return _write(self._wanted, Kind.HELLO, echo)

    def read_wanted(self, datagram: bytes) -> int:
        """Undo ``write_wanted``: the session id that the base station does not know."""
        echo, _ = self._read(self._wanted, datagram, HELLO_WANTED_BYTES, _ECHO.size)
        return int(_ECHO.unpack(echo)[0])

    def write_answer(self, robot: Word, base: Word, period_ms: int) -> bytes:
        """Return the ANSWER to a HELLO with the word ``robot``, always the same for ``base``."""
        return _write(self.derive(Purpose.ANSWER, robot), Kind.ANSWER, base.packed,
                      _PERIOD.pack(min(period_ms, SEQUENCES - 1)))

    def read_answer(self, robot: Word, datagram: bytes) -> tuple[Word, int]:
        """Undo ``write_answer``: word of the base station, its report period [ms]."""
        packed, text = self._read(self.derive(Purpose.ANSWER, robot), datagram, ANSWER_BYTES,
                                  _WORD.size)
        return Word(*_WORD.unpack(packed)), int(_PERIOD.unpack(text)[0])

    @staticmethod
    def _read(cipher: Cipher, datagram: bytes, length: int, shown: int) -> tuple[bytes, bytes]:
        """Return what is shown and what is encrypted."""
        if len(datagram) != length:
            raise LinkError('datagram length', len(datagram), length)
        clear = datagram[:1 + shown]
        text = cipher.decrypt(_padded(clear[1:]), datagram[1 + shown:], clear)
        if text is None:
            raise AuthError('does not prove the key')
        return clear[1:], text


def _write(cipher: Cipher, kind: Kind, shown: bytes, text: bytes = b'') -> bytes:
    """Return a datagram outside sessions; what it shows in clear is its nonce."""
    clear = write_head(Head(kind, sealed=True)) + shown
    return clear + cipher.encrypt(_padded(shown), text, clear)


def _padded(shown: bytes) -> bytes:
    return shown.ljust(_NONCE_BYTES, b'\0')


def read_sealed(datagram: bytes) -> Sealed:
    """Read the clear part; AuthError for a plain datagram, LinkError for a malformed one."""
    head = read_head(datagram)
    if not head.sealed:
        raise AuthError('not sealed')
    if len(datagram) < SEALED_BYTES:
        raise LinkError('datagram length', len(datagram), f'at least {SEALED_BYTES}')
    _, session_id, number = _CLEAR.unpack_from(datagram)
    return Sealed(head, session_id, number, datagram)
