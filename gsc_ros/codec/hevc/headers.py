"""
The H.265 headers that our packets leave out: parameter sets and slice header of one picture.

Both ends derive every byte from the coded size (and, for the slice header, one byte on the wire).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import re

from gsc_ros.codec.errors import MissingDependencyError, PacketError
from gsc_ros.codec.hevc.bits import BitWriter
from gsc_ros.codec.hevc.syntax import (
    inter_slice_header,
    intra_slice_header,
    parameter_sets,
)

_START_CODE = b'\x00\x00\x00\x01'
MAX_QP = 51
_LEVEL = 186        # 6.2; x265 writes the lowest that fits, which no decoder needs
_LEVEL_BYTE = 12    # of the sequence parameter set, without escapes
_SAO_SHIFT = 6      # of the two SAO flags in the byte that stands for the slice header
_PARTS = 4          # NAL units of a stream of one picture: three parameter sets, a slice


@dataclass(frozen=True)
class _Slice:
    """What tells the two kinds of picture apart."""

    inter: bool
    nal_type: int
    header: Callable[[int, int], BitWriter]

    def nal(self, qp: int, sao: int) -> bytes:
        return _nal(self.nal_type, self.header(qp, sao).finish())


_INTRA = _Slice(False, 20, intra_slice_header)      # IDR_N_LP


def _inter(order: int) -> _Slice:
    return _Slice(True, 1, partial(inter_slice_header, order))      # TRAIL_R


def quantiser(latent: bytes) -> int:
    """
    Quantiser, 0..51, of a latent that ``strip`` made.

    :raises PacketError: if the first byte is not there or holds no quantiser.
    """
    if not latent:
        raise PacketError('latent length', 0, 'at least 1')
    qp = latent[0] & (1 << _SAO_SHIFT) - 1
    if qp > MAX_QP:
        raise PacketError('hevc quantiser', qp, f'0..{MAX_QP}')
    return qp


def rebuild(latent: bytes, width: int, height: int) -> bytes:
    """
    Whole H.265 stream of a latent that ``strip`` made.

    :raises PacketError: as ``quantiser``.
    """
    units = [_nal(kind, writer.finish())
             for kind, writer in parameter_sets(width, height, _LEVEL, inter=False)]
    return _join([*units, _slice(_INTRA, latent)])


def rebuild_inter(latent: bytes, order: int) -> bytes:
    """
    H.265 slice of a latent of ``strip_inter``, the ``order``-th after the first picture.

    :raises PacketError: as ``quantiser``.
    """
    return _join([_slice(_inter(order), latent)])


def strip(stream: bytes, width: int, height: int, qp: int) -> bytes:
    """
    Latent of an x265 stream: one byte for the slice header, then the slice data as they are.

    :raises MissingDependencyError: naming the first field that this x265 writes otherwise than
        ``rebuild`` does, so that no packet leaves that cannot be decoded.
    """
    return _strip(_INTRA, _split(stream, _PARTS), width, height, qp)


def strip_inter(stream: bytes, width: int, height: int, qp: int) -> tuple[bytes, bytes]:
    """
    Stream of the first and latent of the second picture of an x265 stream of two; see ``strip``.

    :raises MissingDependencyError: as ``strip``.
    """
    units = _split(stream, _PARTS + 1)
    return _join(units[:-1]), _strip(_inter(1), units, width, height, qp)


def _strip(kind: _Slice, units: list[bytes], width: int, height: int, qp: int) -> bytes:
    level = _unescape(units[1][2:])[_LEVEL_BYTE]
    sets = parameter_sets(width, height, level, kind.inter)
    for unit, (nal_type, writer) in zip(units, sets, strict=False):
        _compare(unit, nal_type, writer)
    for sao in range(4):
        header = kind.nal(qp, sao)
        if units[-1].startswith(header):
            return bytes([sao << _SAO_SHIFT | qp]) + units[-1][len(header):]
    raise _other_x265('slice header', units[-1][:8].hex(), header.hex())


def _slice(kind: _Slice, latent: bytes) -> bytes:
    return kind.nal(quantiser(latent), latent[0] >> _SAO_SHIFT) + latent[1:]


def _split(stream: bytes, count: int) -> list[bytes]:
    units = re.split(b'\x00\x00\x00?\x01', stream)[1:]
    if len(units) != count:
        raise _other_x265('NAL units', len(units), count)
    return units


def _join(units: list[bytes]) -> bytes:
    return b''.join(_START_CODE + unit for unit in units)


def _compare(unit: bytes, kind: int, writer: BitWriter) -> None:
    expected = _nal(kind, writer.finish())
    if unit == expected:
        return
    ours, theirs = _unescape(expected[2:]), _unescape(unit[2:])
    bits = [f'{int.from_bytes(data, "big"):0{8 * len(data)}b}' for data in (ours, theirs)]
    first = next((i for i, (a, b) in enumerate(zip(*bits, strict=False)) if a != b),
                 min(map(len, bits)))
    raise _other_x265(writer.field_at(first), theirs.hex(), ours.hex())


def _other_x265(field: str, value: object, expected: object) -> MissingDependencyError:
    return MissingDependencyError(
        f'a libx265 that writes the H.265 field {field} as expected (it is in {value}, wanted '
        f'{expected})', 'pip install "av>=14"')


def _nal(kind: int, payload: bytes) -> bytes:
    """NAL unit: two bytes of header, then the payload with emulation prevention (7.3.1)."""
    out, zeros = bytearray((kind << 1, 1)), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _unescape(data: bytes) -> bytes:
    return data.replace(b'\x00\x00\x03', b'\x00\x00')
