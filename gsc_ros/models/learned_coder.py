"""The learned coder behind the interface that every picture coder has."""
from __future__ import annotations

from dataclasses import dataclass
from typing import cast
import zlib

from gsc_ros.codec.bitstream import CoderId, Packet
from gsc_ros.codec.coder import Coded, Draft, PlainPicture
from gsc_ros.codec.context import ContextModel, ContextWeights
from gsc_ros.codec.errors import (
    BudgetError,
    CheckpointError,
    ModelMismatchError,
    PacketError,
)
from gsc_ros.codec.references import ReceiverReferences, SenderReferences
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.models import checkpoint
from gsc_ros.models.assets import AUTOENCODER_FILE, CONTEXT_FILE, TRANSFORM_FILE
from gsc_ros.models.autoencoder import Autoencoder, AutoencoderConfig
from gsc_ros.models.frames import crop_to_picture, pad_to_tensor
from gsc_ros.models.learned import LearnedConfig, LearnedTransform
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
import torch

STEPS_PER_LEVEL = 4     # qualities between two trained levels
SYMBOL_STRIDE = 32      # picture pixels per latent symbol
DOWNSCALE = 16 * 5      # of the symbols, in sixteenths of an octave


@dataclass(frozen=True, eq=False)
class CodedSymbols:
    """A picture of the source's size as the coder sent it."""

    coder: LearnedCoder
    coded: Coded
    width: int
    height: int


class LearnedCoder:
    """Transform coder in the autoencoder's latent space; see ``PictureCoder``."""

    coder_id = CoderId.LEARNED

    def __init__(self, autoencoder: Autoencoder, transform: LearnedTransform,
                 context: ContextModel, fingerprint: int, device: str = 'cpu') -> None:
        self.autoencoder, self.transform, self.context = autoencoder, transform, context
        self.fingerprint, self.device = fingerprint, device
        self.top_quality = (transform.config.levels - 1) * STEPS_PER_LEVEL

    @classmethod
    def load(cls, device: str = 'cpu') -> LearnedCoder:
        """
        Load the shipped coder.

        :raises CheckpointError: if a file is missing or damaged.
        :raises InvalidInputError: if there is no such device.
        """
        autoencoder = checkpoint.load(Autoencoder, AutoencoderConfig, AUTOENCODER_FILE, device)
        transform = checkpoint.load(LearnedTransform, LearnedConfig, TRANSFORM_FILE, device)
        try:
            weights = ContextWeights.from_arrays(load_file(CONTEXT_FILE))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(CONTEXT_FILE, str(error)) from error
        fingerprint = 0
        for file in (TRANSFORM_FILE, CONTEXT_FILE, AUTOENCODER_FILE):
            fingerprint = zlib.crc32(file.read_bytes(), fingerprint)
        return cls(cast(Autoencoder, autoencoder), cast(LearnedTransform, transform),
                   ContextModel(weights), fingerprint & 0xFFFF, device)

    @torch.inference_mode()
    def encode_at(self, picture: np.ndarray, quality: int) -> Coded:
        """Code at a quality of 0..``top_quality``, however long the result."""
        return self._code(self._latent(picture), quality)

    def _latent(self, picture: np.ndarray) -> torch.Tensor:
        return self.autoencoder.encode(pad_to_tensor(picture, SYMBOL_STRIDE, self.device))

    @torch.inference_mode()
    def encode(self, picture: np.ndarray, max_bytes: int) -> Coded:
        """
        Code a picture (H, W, 3) uint8 at the highest quality whose latent fits ``max_bytes``.

        :raises BudgetError: if not even the lowest does.
        """
        latent = self._latent(picture)
        low, high = 0, self.top_quality
        best = self._code(latent, low)
        if len(best.data) > max_bytes:
            raise BudgetError(max_bytes, len(best.data))
        while low < high:
            middle = (low + high + 1) // 2
            coded = self._code(latent, middle)
            if len(coded.data) <= max_bytes:
                low, best = middle, coded
            else:
                high = middle - 1
        return best

    def _code(self, latent: torch.Tensor, quality: int) -> Coded:
        _, symbols = self.transform.quantise(latent, self._level(quality))
        block = symbols[0].round().to(torch.int64).cpu().numpy()
        return Coded(quality, self.context.encode(block, self._table_level(quality)))

    def decode_symbols(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """
        Integer symbols (C, h, w) of a coded picture: the same on every machine.

        :raises PacketError: if the quality or the data is not one of this coder's.
        """
        if not 0 <= coded.quality <= self.top_quality:
            raise PacketError('quality', coded.quality, f'0..{self.top_quality}')
        rows, columns = (-(-side // SYMBOL_STRIDE) for side in (height, width))
        return self.context.decode(coded.data, rows, columns, self._table_level(coded.quality))

    def encode_packet(self, picture: np.ndarray, draft: Draft, max_bytes: int,
                      focus: Focus = NOWHERE, references: SenderReferences | None = None
                      ) -> Packet:
        """Code on its own; neither focus nor references are used. See ``PictureCoder``."""
        try:
            coded = self.encode(picture, max_bytes - draft.size)
        except BudgetError as error:
            raise BudgetError(max_bytes, error.smallest + draft.size) from error
        return draft.complete(self.coder_id, self.fingerprint, coded)

    def decode_packet(self, packet: Packet, references: ReceiverReferences | None = None
                      ) -> PlainPicture:
        """Decode when the picture is wanted; see ``PictureCoder``."""
        if packet.fingerprint != self.fingerprint:
            raise ModelMismatchError(packet.fingerprint, self.fingerprint)
        coded, size = Coded(packet.quality, packet.latent), (packet.width, packet.height)
        return PlainPicture(
            packet, packet.caption, packet.objects,
            8 * len(packet.latent) / (packet.width * packet.height), DOWNSCALE,
            CodedSymbols(self, coded, *size), lambda: self.decode(coded, *size))

    @torch.inference_mode()
    def decode(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """
        Return the plain picture, uint8 (height, width, 3) RGB.

        :raises PacketError: if the latent cannot be decoded.
        """
        block = self.decode_symbols(coded, width, height)
        symbols = torch.from_numpy(block).float()[None].to(self.device)
        latent = self.transform.synthesise(symbols, self._level(coded.quality))
        return crop_to_picture(self.autoencoder.decode(latent), width, height)

    def _level(self, quality: int) -> torch.Tensor:
        return torch.tensor([quality / STEPS_PER_LEVEL], device=self.device)

    @staticmethod
    def _table_level(quality: int) -> int:
        return (quality + STEPS_PER_LEVEL // 2) // STEPS_PER_LEVEL
