"""
What a packet says of its picture, as a test that every made-up picture can be put to.

A generator that knows nothing of our coders is held to the packet by it: at each step of the flow
the predicted clean picture is pulled towards pictures that would have been coded the same
(projection on the transmitted data, as in DDNM, Wang et al. 2023; latent pull as in PSLD, Rout
et al. 2023; by gradients as in DPS, Chung et al. 2023).
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, singledispatch
from typing import Protocol

from gsc_ros.codec.coder import Coded
from gsc_ros.codec.references import Reference
from gsc_ros.codec.resample import Planes, resample
from gsc_ros.models.learned_coder import (
    CodedSymbols,
    LearnedCoder,
    STEPS_PER_LEVEL,
    SYMBOL_STRIDE,
)
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_PULLS = 2          # enlarging and shrinking again is not quite the identity: the second mends it
# Luma samples of a transform block, the largest of H.265, which rules at our rates; chroma has
# half. Measured on nine validation pictures, 0.005 to 0.04 bpp: at the low frequencies of such
# blocks the source differs from the planes by 0.29 to 0.32 steps, where a quantiser of that step
# leaves 12 ** -0.5.
_BLOCK = 32
# Quantiser of chroma for luma quantisers 30 to 43 (H.265, table 8-10); 6 less from there on.
_CHROMA_QP = (29, 30, 31, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37, 37)
_SIZES = _BLOCK, _BLOCK // 2
# Rows give Y, Cb, Cr of R, G, B: ITU-R BT.601 in full range, as codec.resample has it.
_TO_YCC = np.array([[0.299, 0.587, 0.114],
                    [-0.299 / 1.772, -0.587 / 1.772, 0.5],
                    [0.5, -0.587 / 1.402, -0.114 / 1.402]], np.float32)


class Constraint(Protocol):
    """What was transmitted of one picture; pictures are (1, 3, H, W) in -1..1, of its size."""

    def pull(self, rgb: Tensor) -> Tensor:
        """Nearest picture, about, that is coded into what was sent."""
        ...

    def misfit(self, rgb: Tensor) -> Tensor:
        """Mean square distance of the picture's symbols from those sent; differentiable."""
        ...

    def kept(self, rgb: Tensor) -> float:
        """Share, 0..1, of the symbols that lie within the cell of the quantiser."""
        ...


@lru_cache(maxsize=32)
def _matrix(size_out: int, size_in: int, device: torch.device) -> Tensor:
    """Give the coder's resampling of one axis, (size_out, size_in)."""
    (matrix,) = resample(np.eye(size_in, dtype=np.float32)[None], size_in, size_out)
    return torch.from_numpy(np.ascontiguousarray(matrix)).to(device)


def _resample(planes: Tensor, width: int, height: int) -> Tensor:
    rows = _matrix(height, planes.shape[-2], planes.device)
    columns = _matrix(width, planes.shape[-1], planes.device)
    return rows @ planes @ columns.T


@lru_cache(maxsize=4)
def _dct_matrix(size: int, device: torch.device) -> Tensor:
    """Orthonormal DCT-II: row k holds the cosine of frequency k."""
    frequency, place = np.mgrid[:size, :size]
    matrix = np.cos(np.pi * (2 * place + 1) * frequency / (2 * size)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return torch.from_numpy(matrix.astype(np.float32)).to(device)


def _spectrum(plane: Tensor, size: int) -> Tensor:
    """Orthonormal DCT of every block: (B, C, H, W) -> (B, C, rows, columns, size, size)."""
    bottom, right = (-side % size for side in plane.shape[2:])
    plane = F.pad(plane, (0, right, 0, bottom), 'replicate')
    blocks = plane.unflatten(-1, (-1, size)).unflatten(-3, (-1, size)).transpose(-3, -2)
    matrix = _dct_matrix(size, plane.device)
    return matrix @ blocks @ matrix.T


def _from_spectrum(spectrum: Tensor) -> Tensor:
    matrix = _dct_matrix(spectrum.shape[-1], spectrum.device)
    blocks = matrix.T @ spectrum @ matrix
    return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)


class PlanesConstraint:
    """
    A picture of the hevc coder: its decoded 4:2:0 planes at the coded size.

    The symbols are the samples of the planes. What the quantiser rounded away stays free: a
    difference counts from where it leaves the quantiser's cell, which is taken in a 32x32 cosine
    transform (16x16 for chroma) with the step size of H.265, 2 ** ((qp - 4) / 6). The coder's own
    transform blocks are not known here, so the cell is an approximation.
    """

    def __init__(self, planes: Planes, qp: int | None = None, device: str = 'cpu') -> None:
        """
        Take planes as ``decode_planes`` returns them.

        :param qp: quantiser, 0..51; None pulls to the planes themselves.
        """
        self._luma = torch.from_numpy(planes[0]).to(device).float()[None, None]
        self._chroma = torch.from_numpy(np.stack(planes[1:])).to(device).float()[None]
        self._cells = (0.0, 0.0) if qp is None else (_half_step(qp), _half_step(_chroma_qp(qp)))

    def pull(self, rgb: Tensor) -> Tensor:
        """Back-project what lies outside the cells; see ``Constraint``."""
        for _ in range(_PULLS):
            luma, chroma = self._excesses(rgb)
            size = rgb.shape[-1], rgb.shape[-2]
            ycc = torch.cat([_resample(luma, *size), _resample(chroma, *size)], 1)
            rgb = rgb + _mix(_inverse_colours(rgb.device), ycc) / 127.5
        return rgb

    def misfit(self, rgb: Tensor) -> Tensor:
        """Square grey levels a sample outside the cells; see ``Constraint``."""
        return _mean_square(self._excesses(rgb))

    def distance(self, rgb: Tensor) -> Tensor:
        """Mean square distance from the planes in grey levels, whatever the cells."""
        return _mean_square(self._residuals(rgb))

    def kept(self, rgb: Tensor) -> float:
        """Share of transform coefficients within their cells; see ``Constraint``."""
        inside = [(_spectrum(r, size).abs() <= half).float().flatten() for r, size, half
                  in zip(self._residuals(rgb), _SIZES, self._cells, strict=True)]
        return float(torch.cat(inside).mean())

    def _residuals(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Sent minus shrunk: luma (1, 1, h, w) and chroma (1, 2, h / 2, w / 2), grey levels."""
        height, width = self._luma.shape[-2:]
        small = _resample((rgb + 1) * 127.5, width, height)
        ycc = _mix(torch.from_numpy(_TO_YCC).to(rgb.device), small)
        chroma = _resample(ycc[:, 1:], width // 2, height // 2) + 128
        return self._luma - ycc[:, :1], self._chroma - chroma

    def _excesses(self, rgb: Tensor) -> list[Tensor]:
        return [_outside(r, size, half) for r, size, half
                in zip(self._residuals(rgb), _SIZES, self._cells, strict=True)]


def _half_step(qp: int) -> float:
    return float(2 ** ((qp - 4) / 6) / 2)


def _chroma_qp(qp: int) -> int:
    return qp if qp < 30 else qp - 6 if qp > 43 else _CHROMA_QP[qp - 30]


def _outside(residual: Tensor, size: int, half: float) -> Tensor:
    """Keep what of a residual lies outside cells of so many grey levels each way."""
    if not half:
        return residual
    spectrum = _spectrum(residual, size)
    outside = _from_spectrum(spectrum - spectrum.clamp(-half, half))
    return outside[..., :residual.shape[-2], :residual.shape[-1]]


def _mean_square(residuals: Sequence[Tensor]) -> Tensor:
    count = sum(r.numel() for r in residuals)
    return torch.stack([r.square().sum() for r in residuals]).sum() / count


@lru_cache(maxsize=4)
def _inverse_colours(device: torch.device) -> Tensor:
    return torch.from_numpy(np.linalg.inv(_TO_YCC)).to(device)


def _mix(matrix: Tensor, colours: Tensor) -> Tensor:
    return torch.einsum('ij,bjhw->bihw', matrix, colours)


class SymbolsConstraint:
    """A picture of the learned coder: its integer symbols; a cell is half a symbol each way."""

    def __init__(self, coder: LearnedCoder, coded: Coded, width: int, height: int) -> None:
        """
        Read the symbols of a coded picture.

        :raises PacketError: if they cannot be decoded.
        """
        self._coder = coder
        self._level = torch.tensor([coded.quality / STEPS_PER_LEVEL], device=coder.device)
        block = coder.decode_symbols(coded, width, height)
        self._symbols = torch.from_numpy(block).float()[None].to(coder.device)

    def pull(self, rgb: Tensor) -> Tensor:
        """Add what the decoder shows of the symbols' way back; see ``Constraint``."""
        found = self._scaled(rgb)
        wanted = found + self._excess(found)
        change = self._render(wanted) - self._render(found)
        return rgb + change[..., :rgb.shape[-2], :rgb.shape[-1]]

    def misfit(self, rgb: Tensor) -> Tensor:
        """Square symbols outside the cells; see ``Constraint``."""
        return self._excess(self._scaled(rgb)).square().mean()

    def kept(self, rgb: Tensor) -> float:
        """Share of symbols within half a step; see ``Constraint``."""
        return float(((self._scaled(rgb) - self._symbols).abs() <= 0.5).float().mean())

    def _scaled(self, rgb: Tensor) -> Tensor:
        bottom, right = (-side % SYMBOL_STRIDE for side in rgb.shape[2:])
        latent = self._coder.autoencoder.encode(F.pad(rgb, (0, right, 0, bottom), 'replicate'))
        return self._coder.transform.quantise(latent, self._level)[0]

    def _render(self, scaled: Tensor) -> Tensor:
        latent = self._coder.transform.synthesise(scaled, self._level)
        return self._coder.autoencoder.decode(latent)

    def _excess(self, scaled: Tensor) -> Tensor:
        residual = self._symbols - scaled
        return residual - residual.clamp(-0.5, 0.5)


@singledispatch
def constraint(evidence: object, device: str) -> Constraint:
    """
    Make the constraint of what was transmitted: one registration below for each kind of coder.

    :param evidence: of a ``gsc_ros.codec.coder.PlainPicture``.
    :raises TypeError: for evidence of a coder that has none registered.
    """
    raise TypeError(f'no constraint is registered for {type(evidence).__name__}')


@constraint.register
def _(evidence: Reference, device: str) -> Constraint:
    return PlanesConstraint(evidence.planes, evidence.qp, device)


@constraint.register
def _(evidence: CodedSymbols, device: str) -> Constraint:
    return SymbolsConstraint(evidence.coder, evidence.coded, evidence.width, evidence.height)
