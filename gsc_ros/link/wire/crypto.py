"""
Sealing of single datagrams under a pre-shared key: ChaCha20-Poly1305 (RFC 8439).

Which keys a session uses, and when, is in sessions.py.
"""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
import struct
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.wire.datagrams import Datagram, Head, Kind, LinkError, read_head, write_head

KEY_BYTES = 32
TAG_BYTES = 16
TO_BASE, TO_ROBOT = b'\0', b'\1'
_WORD = struct.Struct('<I')
_CLEAR = struct.Struct('<BIH')
SEALED_BYTES = _CLEAR.size + TAG_BYTES
HELLO_BYTES = 1 + _WORD.size
_CACHED_CIPHERS = 16


class AuthError(LinkError):
    """A datagram that this key, in this session, does not open."""

    counter = 'auth_failed'

    def __init__(self, reason: str) -> None:
        super().__init__('seal', reason, 'a datagram sealed under the key of this session')


class ReplayError(LinkError):
    """A datagram that was seen before, or belongs to a session that is over."""

    counter = 'replayed'


@dataclass(frozen=True)
class Sealed:
    """A sealed datagram, its clear part read."""

    head: Head
    word: int
    number: int
    data: bytes


class Cipher:
    """One key; a number is used once."""

    def __init__(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        self._cipher, self._invalid = ChaCha20Poly1305(key), InvalidTag

    def seal(self, head: Head, word: int, number: int, body: bytes) -> bytes:
        """Return the datagram; its clear part is authenticated, too."""
        head = Head(head.kind, True, head.fragmented, head.inside)
        clear = _CLEAR.pack(write_head(head)[0], word, number)
        return clear + self._cipher.encrypt(_nonce(number), body, clear)

    def unseal(self, sealed: Sealed) -> Datagram | None:
        """Return the opened datagram, None for one made with another key or altered."""
        clear = sealed.data[:_CLEAR.size]
        try:
            body = self._cipher.decrypt(_nonce(sealed.number), sealed.data[_CLEAR.size:], clear)
        except self._invalid:
            return None
        return Datagram(sealed.head, sealed.number, body)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, 'little')


class Ciphers:
    """Ciphers of a pre-shared key for directions and pairs of words; the last few are kept."""

    def __init__(self, key: bytes) -> None:
        """Take 32 bytes; InvalidInputError otherwise, MissingDependencyError if not installed."""
        if len(key) != KEY_BYTES:
            raise InvalidInputError('key', f'{len(key)} bytes', f'{KEY_BYTES} bytes')
        self._key = key
        self._modules = _load()
        self._kept: OrderedDict[bytes, Cipher] = OrderedDict()

    def get(self, direction: bytes, robot: int, base: int) -> Cipher:
        """Return the cipher of ``direction`` between two words, 32 bits each."""
        context = direction + _WORD.pack(robot) + _WORD.pack(base)
        if context not in self._kept:
            self._kept[context] = Cipher(self._derive(context))
            if len(self._kept) > _CACHED_CIPHERS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(context)
        return self._kept[context]

    def _derive(self, context: bytes) -> bytes:
        """HKDF-SHA256 (RFC 5869)."""
        hashes, hkdf = self._modules
        return bytes(hkdf.HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None,
                               info=b'gsc link 1' + context).derive(self._key))


def _load() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf import hkdf
    except ImportError as error:
        raise MissingDependencyError('cryptography', 'pip install cryptography') from error
    return hashes, hkdf


def read_sealed(datagram: bytes) -> Sealed:
    """Read the clear part; AuthError for a plain datagram, LinkError for a malformed one."""
    head = read_head(datagram)
    if not head.sealed:
        raise AuthError('not sealed')
    if len(datagram) < SEALED_BYTES:
        raise LinkError('datagram length', len(datagram), f'at least {SEALED_BYTES}')
    _, word, number = _CLEAR.unpack_from(datagram)
    return Sealed(head, word, number, datagram)


def write_hello(word: int) -> bytes:
    """Return a HELLO: a robot's word, nothing else."""
    return write_head(Head(Kind.HELLO, sealed=True)) + _WORD.pack(word)


def read_hello(datagram: bytes) -> int | None:
    """Return the word of a HELLO, None for any other datagram."""
    head = read_head(datagram)
    if head.kind is not Kind.HELLO:
        return None
    if not head.sealed or len(datagram) != HELLO_BYTES:
        raise LinkError('hello length', len(datagram), HELLO_BYTES)
    return int(_WORD.unpack_from(datagram, 1)[0])
