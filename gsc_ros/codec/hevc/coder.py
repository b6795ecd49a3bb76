"""
The standard coder: H.265 of the shrunk picture, alone or predicted, headers stripped.

x265 (through PyAV) codes, ffmpeg decodes. Encoder and decoder note the same facts of every packet,
so that a later one can be coded from it; docs/BITSTREAM.md, sections 6 and 8.
"""
from __future__ import annotations

from dataclasses import replace

from gsc_ros.codec.bitstream import CoderId, Packet, SHORT_HEADER_BYTES, SHORT_VERSION
from gsc_ros.codec.coder import check_picture, Coded, Draft, PlainPicture
from gsc_ros.codec.errors import BudgetError, ModelMismatchError, PacketError
from gsc_ros.codec.hevc.alone import coded_size, Trials
from gsc_ros.codec.hevc.headers import quantiser
from gsc_ros.codec.hevc.inter import decode_from, encode_next, Made, squared_error
from gsc_ros.codec.hevc.streams import decode_planes
from gsc_ros.codec.references import (
    Candidate,
    ReceiverReferences,
    Reference,
    SenderReferences,
    SentPicture,
)
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.codec.resample import enlarge, Planes
from gsc_ros.codec.sequence import distance
import numpy as np

# Configurations of headers, filters and colours of the two kinds of pictures.
ALONE_FINGERPRINT = 0x4801
INTER_FINGERPRINT = 0x4802
# Chance of being decoded above which no other picture to code from is tried.
SAFE_CHANCE = 0.97


class HevcCoder:
    """H.265 behind the ``PictureCoder`` interface."""

    coder_id = CoderId.HEVC
    fingerprint = ALONE_FINGERPRINT

    def encode(self, picture: np.ndarray, max_bytes: int, focus: Focus = NOWHERE) -> Coded:
        """
        Code a picture (H, W, 3) uint8 on its own into a latent of at most ``max_bytes``.

        :raises InvalidInputError: if the picture is not of that form, or a side not 16..4096.
        :raises BudgetError: if not even the coarsest setting fits.
        """
        check_picture(picture)
        return Trials(picture, max_bytes, focus).best()

    def decode(self, coded: Coded, width: int, height: int) -> np.ndarray:
        """
        Return the plain picture, uint8 (height, width, 3) RGB, of one that stands alone.

        :raises PacketError: if it cannot be decoded.
        """
        return enlarge(self.decode_planes(coded, width, height), width, height)

    def decode_planes(self, coded: Coded, width: int, height: int) -> Planes:
        """Return the 4:2:0 planes of coded size that the plain picture is enlarged from."""
        return decode_planes(coded.data, *coded_size(width, height, coded.quality))

    def encode_packet(self, picture: np.ndarray, draft: Draft, max_bytes: int,
                      focus: Focus = NOWHERE, references: SenderReferences | None = None
                      ) -> Packet:
        """Code alone, or from a picture that the base station holds; see ``PictureCoder``."""
        try:
            if references is None:
                coded = Trials(picture, max_bytes - draft.size, focus).best()
                return draft.complete(self.coder_id, ALONE_FINGERPRINT, coded)
            made, parent, repeats = self._predict(picture, draft, max_bytes, focus, references)
        except BudgetError as error:
            raise BudgetError(max_bytes, error.smallest + draft.size) from error
        packet = _packet(draft, made, parent, repeats)
        references.sent(SentPicture(packet.sequence, _noted(packet, made.planes, made.parent),
                                    draft.caption, draft.objects, parent))
        return packet

    @staticmethod
    def _predict(picture: np.ndarray, draft: Draft, max_bytes: int, focus: Focus,
                 references: SenderReferences) -> tuple[Made, SentPicture | None, bool]:
        """
        Code alone or from one of the candidates: by the least error expected at the base station.

        Returns what was made, what it was coded from, and whether that has the text, too.
        """
        asked = draft.sequence, draft.width, draft.height
        trials = Trials(picture, max_bytes - draft.size, focus)
        tried: list[tuple[Made, SentPicture | None, bool, float]] = []
        candidates: list[Candidate | None] = [*references.candidates(*asked)]
        for candidate in candidates or [None]:
            parent = candidate.picture if candidate else None
            repeats = parent is not None and _repeats(draft, parent)
            try:
                made = encode_next(trials, parent.reference if parent else None,
                                   max_bytes - _inter_size(draft, repeats))
            except BudgetError as error:
                failure = error
                continue
            used = parent if made.parent is not None else None
            chance = candidate.chance if candidate and used else 1.0
            tried.append((made, used, repeats and used is not None, chance))
            if chance > SAFE_CHANCE:
                break
        if not tried:
            raise failure
        if len(tried) == 1:
            return tried[0][:3]
        held = references.held(*asked)
        frozen = squared_error(held.reference.planes, picture) if held else 0.0
        return min(tried, key=lambda one: one[3] * squared_error(one[0].planes, picture)
                   + (1 - one[3]) * frozen)[:3]

    def decode_packet(self, packet: Packet, references: ReceiverReferences | None = None
                      ) -> PlainPicture:
        """Decode the planes, enlarge them when the picture is wanted; see ``PictureCoder``."""
        noted = decode_reference(packet, references)
        if packet.version == SHORT_VERSION:
            packet = replace(packet, width=noted.width, height=noted.height, seed=noted.seed,
                             quality=noted.quality, fingerprint=INTER_FINGERPRINT)
        return PlainPicture(
            packet, noted.caption_bytes, noted.object_bytes, noted.bpp, noted.quality, noted,
            lambda: enlarge(noted.planes, noted.width, noted.height))


def decode_reference(packet: Packet, references: ReceiverReferences | None) -> Reference:
    """
    Decode a packet to what later ones may be coded from; see ``PictureCoder.decode_packet``.

    :raises GscError: as there.
    """
    references = references or ReceiverReferences()
    if packet.version == SHORT_VERSION or packet.fingerprint == INTER_FINGERPRINT:
        parent = references.find(packet)
        noted = _noted(packet, decode_from(parent, packet.latent[packet.version:]), parent)
    elif packet.fingerprint != ALONE_FINGERPRINT:
        raise ModelMismatchError(packet.fingerprint, ALONE_FINGERPRINT)
    elif packet.text_repeats:
        raise PacketError('text_repeats', True, 'only with a predicted picture')
    else:
        size = coded_size(packet.width, packet.height, packet.quality)
        noted = _noted(packet, decode_planes(packet.latent, *size), None)
    references.keep(packet.sequence, noted)
    return noted


def _repeats(draft: Draft, held: SentPicture) -> bool:
    """Whether the base station has the text that was asked for, or as much as fits now."""
    there = len(held.reference.caption_bytes) + len(held.reference.object_bytes)
    fits = len(draft.caption_bytes) + len(draft.object_bytes)
    return held.tells(draft.caption, draft.objects) and fits <= there


def _inter_size(draft: Draft, repeats: bool) -> int:
    """Bytes of a predicted packet without what is coded of the picture."""
    return SHORT_HEADER_BYTES + SHORT_VERSION + (0 if repeats else draft.text_size)


def _packet(draft: Draft, made: Made, held: SentPicture | None, repeats: bool) -> Packet:
    packet = draft.complete(CoderId.HEVC, ALONE_FINGERPRINT, made.coded)
    if made.parent is None or held is None:
        return packet
    packet = replace(packet, fingerprint=INTER_FINGERPRINT, version=SHORT_VERSION,
                     reference=distance(draft.sequence, held.sequence), seed=made.parent.seed,
                     latent=made.parent.checked(SHORT_VERSION) + made.coded.data)
    return replace(packet, caption=b'', objects=b'', text_repeats=True) if repeats else packet


def _noted(packet: Packet, planes: Planes, parent: Reference | None) -> Reference:
    if parent is None:
        qp = quantiser(packet.latent)
        bpp = 8 * len(packet.latent) / (packet.width * packet.height)
        return Reference(packet.width, packet.height, packet.quality, planes, packet.caption,
                         packet.objects, qp, qp, bpp, packet.seed)
    repeated = packet.text_repeats
    return replace(
        parent, planes=planes,
        caption_bytes=parent.caption_bytes if repeated else packet.caption,
        object_bytes=parent.object_bytes if repeated else packet.objects,
        qp=quantiser(coded) if (coded := packet.latent[packet.version:]) else parent.qp)
