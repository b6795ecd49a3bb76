"""Datagrams, byte for byte: framing, ciphers, fragments, what they carry (docs/LINK.md)."""
