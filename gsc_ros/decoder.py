"""The one way from a packet to a picture: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsc_ros.codec.bitstream import CoderId, Packet, unpack
from gsc_ros.codec.caption import decode_caption
from gsc_ros.codec.coder import Coded, PictureCoder
from gsc_ros.codec.errors import InvalidInputError, ModelMismatchError
from gsc_ros.codec.hevc import HevcCoder
from gsc_ros.codec.objects import decode_objects, SceneObject
from gsc_ros.models.generator import DEFAULT_STEPS, Generator, load_autoencoder, load_prior
from gsc_ros.models.learned_coder import LearnedCoder
from gsc_ros.models.policy import Policy
import numpy as np

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


def latent_bpp(packet: Packet) -> float:
    """Bits per pixel of the coded picture alone: what coder and generator are tuned by."""
    return 8 * len(packet.latent) / (packet.width * packet.height)


class SemanticDecoder:
    """Decodes packets; one instance serves many streams, one packet at a time."""

    def __init__(self, device: str = 'cpu') -> None:
        """
        Load the embedded models.

        :raises CheckpointError: if a file is missing or damaged.
        """
        autoencoder = load_autoencoder(device)
        learned = LearnedCoder.load(autoencoder, device)
        self._coders: dict[CoderId, PictureCoder] = {
            coder.coder_id: coder for coder in (HevcCoder(), learned)}
        self._generator = Generator(autoencoder, load_prior(device), device)
        self._policy = Policy.load()

    def decode(self, data: bytes, *, steps: int | None = None, seed: int | None = None,
               generate: bool | None = None) -> DecodedPicture:
        """
        Decode a packet to the plain picture and, where wanted, the regenerated one.

        :param steps: of the flow's solver, 1..64.
        :param seed: of the noise; None takes the packet's.
        :param generate: None as shipped for the packet's rate, False never, True always.
        :raises PacketError: if the packet or its latent cannot be read.
        :raises ModelMismatchError: if it was made with other weights.
        :raises InvalidInputError: if ``steps`` is outside its range.
        """
        if steps is not None and not 1 <= steps <= MAX_STEPS:
            raise InvalidInputError('steps', steps, f'1..{MAX_STEPS}')
        # 1. bytes to fields, words and objects
        packet = unpack(data)
        caption, objects = decode_caption(packet.caption), decode_objects(packet.objects)
        # 2. what was sent: the plain picture
        plain = self._decode_plain(packet)
        # 3. what the generator makes of it
        regenerated = None
        if generate or (generate is None and latent_bpp(packet) < self._policy.generate_below):
            regenerated = self._regenerate(packet, plain, caption, objects, steps, seed)
        bpp = 8 * len(data) / (packet.width * packet.height)
        return DecodedPicture(packet, plain, regenerated, caption, objects, bpp)

    def _decode_plain(self, packet: Packet) -> np.ndarray:
        coder = self._coders[packet.coder]
        if packet.fingerprint != coder.fingerprint:
            raise ModelMismatchError(packet.fingerprint, coder.fingerprint)
        return coder.decode(Coded(packet.quality, packet.latent), packet.width, packet.height)

    def _regenerate(self, packet: Packet, plain: np.ndarray, caption: str,
                    objects: Sequence[SceneObject], steps: int | None, seed: int | None
                    ) -> np.ndarray:
        return self._generator.regenerate(
            plain, bpp=latent_bpp(packet), coder=packet.coder, caption=caption, objects=objects,
            seed=packet.seed if seed is None else seed, steps=steps or DEFAULT_STEPS)
