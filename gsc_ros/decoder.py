"""The one way from a packet to a picture: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gsc_ros.codec.bitstream import CoderId, Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.coder import PictureCoder, PlainPicture
from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.codec.objects import decode_objects, SceneObject
from gsc_ros.codec.references import ReceiverReferences
from gsc_ros.coders import BY_ID
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
    from gsc_ros.prior.consistency import Constraint
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
        self._coders: dict[CoderId, PictureCoder] = {}
        self._policy = Policy.load()

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

    def decode(self, data: bytes | Packet, *, steps: int | None = None, seed: int | None = None,
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
        packet = unpack(data) if isinstance(data, bytes) else data
        # 2. what was sent: the plain picture, words and objects
        plain = self._coder(packet).decode_packet(packet, references)
        packet = plain.packet
        caption = decode_caption(plain.caption_bytes)
        objects = decode_objects(plain.object_bytes)
        # 3. what the generator makes of it
        regenerated = None
        if generate or (generate is None and self._generation_helps(plain)):
            regenerated = self._generator.regenerate(
                plain.picture, bpp=plain.bpp, coder=packet.coder, caption=caption,
                objects=objects, seed=packet.seed if seed is None else seed, steps=steps,
                constraint=self._constraint(plain), last=last, crispness=crispness)
        bpp = 8 * packet.size / (packet.width * packet.height)
        return DecodedPicture(packet, plain.picture, regenerated, caption, objects, bpp)

    def follow(self, data: bytes | Packet, references: ReceiverReferences) -> None:
        """
        Keep up with a stream that nobody looks at, for the packets that need this one.

        :raises GscError: as ``decode``.
        """
        packet = unpack(data) if isinstance(data, bytes) else data
        self._coder(packet).decode_packet(packet, references)

    def _coder(self, packet: Packet) -> PictureCoder:
        if packet.coder not in self._coders:
            self._coders[packet.coder] = BY_ID[packet.coder].load(self._device)
        return self._coders[packet.coder]

    def _generation_helps(self, plain: PlainPicture) -> bool:
        """
        Whether the generator beats the plain picture, as measured.

        Only at low rates, and only where the picture was coded at less than the source's size.
        """
        return (plain.bpp < self._policy.generate_below
                and plain.downscale >= self._policy.generate_from_downscale)

    def _constraint(self, plain: PlainPicture) -> Constraint | None:
        """Return what the generator is held to, where its prior wants that."""
        if not self._generator.prior.running.consistency:
            return None
        from gsc_ros.prior.consistency import constraint
        return constraint(plain.evidence, self._device)
