"""Bits of a header, written field by field: fixed length and Exp-Golomb codes (H.265, 9.2)."""
from __future__ import annotations


class BitWriter:
    """Collects named fields, most significant bit first; the names serve error messages."""

    def __init__(self) -> None:
        self._bits: list[str] = []
        self._names: list[tuple[int, str]] = []
        self._length = 0

    def u(self, name: str, value: int, bits: int = 1) -> None:
        """Append a field of ``bits`` bits (u, n bits, in the standard)."""
        self._names.append((self._length, name))
        self._bits.append(f'{value:0{bits}b}')
        self._length += bits

    def ue(self, name: str, value: int) -> None:
        """Append an unsigned Exp-Golomb code (ue in the standard)."""
        self.u(name, value + 1, 2 * (value + 1).bit_length() - 1)

    def se(self, name: str, value: int) -> None:
        """Append a signed Exp-Golomb code (se in the standard)."""
        self.ue(name, 2 * value - 1 if value > 0 else -2 * value)

    def finish(self) -> bytes:
        """Return all bytes, after a one and zeros up to the end of the last byte."""
        self.u('trailing_bits', 1)
        length = -(-self._length // 8)
        return (int(''.join(self._bits), 2) << 8 * length - self._length).to_bytes(length, 'big')

    def field_at(self, bit: int) -> str:
        """Name of the field that covers bit ``bit`` of the output."""
        return next((name for start, name in reversed(self._names) if start <= bit), 'end')
