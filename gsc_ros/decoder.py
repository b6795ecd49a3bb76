"""The one way from a packet to a picture: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gsc_ros.codec.bitstream import CoderId, Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.coder import Coded
from gsc_ros.codec.errors import CheckpointError, InvalidInputError, ModelMismatchError
from gsc_ros.codec.hevc.packets import decode_packet
from gsc_ros.codec.objects import decode_objects, SceneObject
from gsc_ros.codec.references import ReceiverReferences
from gsc_ros.codec.resample import enlarge
from gsc_ros.models.assets import (
    AUTOENCODER_FILE,
    CONTEXT_FILE,
    EMBEDDED,
    PRIOR_FILE,
    TRANSFORM_FILE,
)
from gsc_ros.models.policy import Policy
import numpy as np
from safetensors import safe_open, SafetensorError

# torch takes seconds to import: plain pictures of the standard coder do without
if TYPE_CHECKING:
    from gsc_ros.models.learned_coder import LearnedCoder
    from gsc_ros.prior.consistency import Sent
    from gsc_ros.prior.generator import Generator
    from gsc_ros.prior.steady import LastPicture

MAX_STEPS = 64


@dataclass(frozen=True)
class DecodedPicture:
    """
    What a packet says: pictures are uint8 (H, W, 3) RGB of the source's size.

    ``plain`` is decoded without generation; ``regenerated`` is None where generation was off.
    ``bpp`` counts every byte of the packet.
    """

    packet: Packet
    plain: np.ndarray
    regenerated: np.ndarray | None
    caption: str
    objects: list[SceneObject]
    bpp: float

    @property
    def picture(self) -> np.ndarray:
        """The default output: regenerated where that was done, else plain."""
        return self.plain if self.regenerated is None else self.regenerated


@dataclass(frozen=True)
class _Plain:
    """A packet read without generation; ``bpp`` is what the picture takes on its own, about."""

    picture: np.ndarray
    words: bytes
    things: bytes
    bpp: float
    sent: Callable[[], Sent]


class SemanticDecoder:
    """Decodes packets; one instance serves many streams, one packet at a time."""

    def __init__(self, device: str = 'cpu', prior: str = EMBEDDED) -> None:
        """
        Find the embedded models; each is loaded when it is first needed.

        :param prior: ``embedded``, or the folder or hub id of a diffusers model (docs/PRIORS.md).
        :raises CheckpointError: if a file is missing or damaged.
        """
        for path in (AUTOENCODER_FILE, TRANSFORM_FILE, CONTEXT_FILE, PRIOR_FILE):
            try:
                with safe_open(path, 'numpy'):
                    pass
            except (OSError, SafetensorError) as error:
                raise CheckpointError(path, str(error)) from error
        self._device, self._prior = device, prior
        self._policy = Policy.load()

    @cached_property
    def _learned(self) -> LearnedCoder:
        from gsc_ros.models.learned_coder import LearnedCoder
        return LearnedCoder.load(self._device)

    @cached_property
    def _generator(self) -> Generator:
        from gsc_ros.prior.generator import load_generator
        return load_generator(self._prior, self._device)

    @property
    def ready(self) -> bool:
        """Whether the generator is loaded."""
        return '_generator' in self.__dict__

    def preload(self) -> None:
        """
        Load the generator now, so that the first picture is as quick as the others.

        :raises GscError: if the prior cannot be loaded.
        """
        _ = self._generator

    def decode(self, data: bytes, *, steps: int | None = None, seed: int | None = None,
               generate: bool | None = None, references: ReceiverReferences | None = None,
               last: LastPicture | None = None, crispness: float | None = None
               ) -> DecodedPicture:
        """
        Decode a packet to the plain picture and, where wanted, the regenerated one.

        :param steps: of the flow's solver, 1..64.
        :param seed: of the noise; None takes the packet's.
        :param generate: None as shipped for the packet's rate, False never, True always.
        :param references: pictures of the same stream, for packets that do not stand alone.
        :param last: of the same stream: what stands still is not made anew; changed by the call.
        :param crispness: 0..1, from faithful (the plain picture) to crisp (all that was made);
            None takes the prior's own.
        :raises PacketError: if the packet or its latent cannot be read.
        :raises MissingReferenceError: if the picture that it was made from is not there.
        :raises ModelMismatchError: if it was made with other weights.
        :raises InvalidInputError: if ``steps`` or ``crispness`` is outside its range.
        """
        if steps is not None and not 1 <= steps <= MAX_STEPS:
            raise InvalidInputError('steps', steps, f'1..{MAX_STEPS}')
        if crispness is not None and not 0 <= crispness <= 1:
            raise InvalidInputError('crispness', crispness, '0..1')
        # 1. bytes to fields
        packet = unpack(data)
        # 2. what was sent: the plain picture, words and objects
        plain = self._decode_plain(packet, references)
        caption, objects = decode_caption(plain.words), decode_objects(plain.things)
        # 3. what the generator makes of it
        regenerated = None
        if generate or (generate is None and self._pays(packet, plain)):
            regenerated = self._generator.regenerate(
                plain.picture, bpp=plain.bpp, coder=packet.coder, caption=caption,
                objects=objects, seed=packet.seed if seed is None else seed, steps=steps,
                sent=plain.sent() if self._generator.prior.running.consistency else None,
                last=last, crispness=crispness)
        bpp = 8 * len(data) / (packet.width * packet.height)
        return DecodedPicture(packet, plain.picture, regenerated, caption, objects, bpp)

    def _pays(self, packet: Packet, plain: _Plain) -> bool:
        """Whether the generator beats the plain picture, as measured."""
        whole = (packet.coder == CoderId.HEVC
                 and packet.quality < self._policy.generate_from_quality)
        return plain.bpp < self._policy.generate_below and not whole

    def follow(self, data: bytes, references: ReceiverReferences) -> None:
        """
        Keep up with a stream that nobody looks at, for the packets that need this one.

        :raises GscError: as ``decode``.
        """
        packet = unpack(data)
        if packet.coder == CoderId.HEVC:
            decode_packet(packet, references)

    def _decode_plain(self, packet: Packet, references: ReceiverReferences | None) -> _Plain:
        size = packet.width, packet.height
        if packet.coder == CoderId.HEVC:
            found = decode_packet(packet, references)

            def planes() -> Sent:
                from gsc_ros.prior.consistency import SentPlanes
                return SentPlanes(found.planes, found.qp, self._device)
            return _Plain(enlarge(found.planes, *size), found.words, found.things, found.bpp,
                          planes)
        if packet.fingerprint != self._learned.fingerprint:
            raise ModelMismatchError(packet.fingerprint, self._learned.fingerprint)
        coded = Coded(packet.quality, packet.latent)

        def symbols() -> Sent:
            from gsc_ros.prior.consistency import SentSymbols
            return SentSymbols(self._learned, coded, *size)
        return _Plain(self._learned.decode(coded, *size), packet.caption, packet.objects,
                      8 * len(packet.latent) / (packet.width * packet.height), symbols)
