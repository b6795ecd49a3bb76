"""
Packets of the hevc coder in a stream: made from, and decoded with, what both ends hold.

Encoder and decoder note the same facts of every packet, so that a later one can be coded from
it; docs/BITSTREAM.md, section 8.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gsc_ros.codec.bitstream import pack, Packet
from gsc_ros.codec.errors import BudgetError, ModelMismatchError, PacketError
from gsc_ros.codec.hevc.coder import coded_size, HevcCoder
from gsc_ros.codec.hevc.headers import quantiser
from gsc_ros.codec.hevc.inter import decode_from, encode_next, INTER_FINGERPRINT
from gsc_ros.codec.hevc.streams import decode_planes
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import (
    distance,
    ReceiverReferences,
    Reference,
    SenderReferences,
    Sent,
)
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.codec.resample import Planes
import numpy as np


def encode_packet(picture: np.ndarray, draft: Packet, limit: int, references: SenderReferences, *,
                  caption: str, objects: Sequence[SceneObject], focus: Focus = NOWHERE
                  ) -> Packet:
    """
    Complete ``draft``, a packet that lacks quality and latent, within ``limit`` bytes.

    The picture is coded from the one that the base station holds where that is better, and noted
    in ``references``. ``caption`` and ``objects`` are what the draft's text was cut from.

    :raises BudgetError: if no packet of this picture is that small.
    """
    held = references.usable(draft.sequence, draft.width, draft.height)
    following = _following(draft, held, caption, objects) if held else draft
    try:
        made = encode_next(picture, held.reference if held else None,
                           limit - len(pack(following)), limit - len(pack(draft)), focus)
    except BudgetError as error:
        raise BudgetError(limit, error.smallest + len(pack(draft))) from error
    packet = replace(following if made.parent else draft, quality=made.coded.quality,
                     latent=made.coded.data)
    references.sent(Sent(packet.sequence, _noted(packet, made.planes, made.parent), caption,
                         tuple(objects)))
    return packet


def decode_packet(packet: Packet, references: ReceiverReferences | None) -> Reference:
    """
    Decode a packet of the hevc coder, and note it in ``references`` for later ones.

    :raises ModelMismatchError: if the packet was made in an unknown configuration.
    :raises MissingReferenceError: if the picture that it was made from is not there.
    :raises PacketError: if it cannot be decoded.
    """
    references = references or ReceiverReferences()
    if packet.fingerprint == INTER_FINGERPRINT:
        parent = references.find(packet)
        noted = _noted(packet, decode_from(parent, packet.latent), parent)
    elif packet.fingerprint != HevcCoder.fingerprint:
        raise ModelMismatchError(packet.fingerprint, HevcCoder.fingerprint)
    elif packet.text_repeats:
        raise PacketError('text_repeats', True, 'only with a predicted picture')
    else:
        size = coded_size(packet.width, packet.height, packet.quality)
        noted = _noted(packet, decode_planes(packet.latent, *size), None)
    references.keep(packet.sequence, noted)
    return noted


def _following(draft: Packet, held: Sent, caption: str, objects: Sequence[SceneObject]) -> Packet:
    """Refer to ``held``; text is left out if all of it, or more than fits now, is there."""
    following = replace(draft, fingerprint=INTER_FINGERPRINT,
                        reference=distance(draft.sequence, held.sequence))
    there = len(held.reference.words) + len(held.reference.things)
    fits = len(draft.caption) + len(draft.objects)
    if held.tells(caption, objects) and 0 < fits <= there:
        return replace(following, caption=b'', objects=b'', text_repeats=True)
    return following


def _noted(packet: Packet, planes: Planes, parent: Reference | None) -> Reference:
    if parent is None:
        qp = quantiser(packet.latent)
        bpp = 8 * len(packet.latent) / (packet.width * packet.height)
        return Reference(packet.width, packet.height, packet.quality, planes, packet.caption,
                         packet.objects, qp, qp, bpp)
    repeated = packet.text_repeats
    return replace(parent, planes=planes, words=parent.words if repeated else packet.caption,
                   things=parent.things if repeated else packet.objects,
                   qp=quantiser(packet.latent[1:]) if packet.latent[1:] else parent.qp)
