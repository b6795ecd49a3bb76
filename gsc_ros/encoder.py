"""The one way from a picture to a packet: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gsc_ros.codec.bitstream import HEADER_BYTES, MAX_PACKET, MAX_SIDE, MIN_SIDE, pack, Packet
from gsc_ros.codec.caption import encode_caption, truncate_caption
from gsc_ros.codec.coder import Coded, PictureCoder
from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.hevc import HevcCoder
from gsc_ros.codec.objects import BYTES_PER_OBJECT, encode_objects, MAX_OBJECTS, SceneObject
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.models.policy import Policy

CODERS = ('auto', 'learned', 'hevc')
# Text and objects may take at most this share of a packet; the picture keeps the rest.
TEXT_SHARE = 0.25


def check_picture(picture: np.ndarray) -> None:
    """
    Refuse what cannot be coded.

    :raises InvalidInputError: unless the picture is uint8 (H, W, 3), sides 16..4096.
    """
    shape = getattr(picture, 'shape', None)
    if getattr(picture, 'dtype', None) != np.uint8 or shape is None or len(shape) != 3 \
            or shape[2] != 3:
        raise InvalidInputError('picture', f'{getattr(picture, "dtype", None)} {shape}',
                                'uint8 (height, width, 3)')
    if not (MIN_SIDE <= min(shape[:2]) and max(shape[:2]) <= MAX_SIDE):
        raise InvalidInputError('picture size', f'{shape[1]}x{shape[0]}',
                                f'sides of {MIN_SIDE}..{MAX_SIDE}')


class SemanticEncoder:
    """Encodes pictures; one instance serves many pictures and cameras, one at a time."""

    def __init__(self, coder: str = 'auto', device: str = 'cpu') -> None:
        """
        Load what the coder needs: ``hevc`` no model, ``learned`` and ``auto`` the networks.

        :raises InvalidInputError: if there is no such coder.
        :raises CheckpointError: if its weights are missing.
        """
        if coder not in CODERS:
            raise InvalidInputError('coder', coder, ', '.join(CODERS))
        self._hevc = HevcCoder()
        self._learned: PictureCoder | None = None
        self._policy: Policy | None = None
        self._coder = coder
        if coder != 'hevc':
            self._load_models(device)

    def _load_models(self, device: str) -> None:
        # torch is only imported by those who need it
        from gsc_ros.models.generator import load_autoencoder
        from gsc_ros.models.learned_coder import LearnedCoder
        from gsc_ros.models.policy import Policy
        self._policy = Policy.load()
        if self._coder == 'learned' or self._policy.learned_below > 0:
            self._learned = LearnedCoder.load(load_autoencoder(device), device)

    def encode(self, picture: np.ndarray, max_bytes: int, *, caption: str = '',
               objects: Sequence[SceneObject] = (), sequence: int = 0, seed: int = 0) -> bytes:
        """
        Encode a picture (H, W, 3) uint8 RGB into a packet of at most ``max_bytes`` bytes.

        Caption and objects take at most a quarter of the packet (best objects first, the
        caption cut at a word); the picture gets what is left.

        :raises InvalidInputError: if an argument is outside its range.
        :raises BudgetError: if no packet of this picture is that small.
        """
        check_picture(picture)
        limit = min(max_bytes, MAX_PACKET)
        if limit <= HEADER_BYTES:
            raise BudgetError(max_bytes, HEADER_BYTES + 1)
        # 1. what can be said in words
        words, things = self._fit_text(caption, objects, limit - HEADER_BYTES)
        # 2. the picture, in the bytes that are left
        room = limit - HEADER_BYTES - len(words) - len(things)
        try:
            coder, coded = self._code(picture, room)
        except BudgetError as error:
            raise BudgetError(max_bytes, error.smallest + limit - room) from error
        # 3. one packet
        height, width = picture.shape[:2]
        return pack(Packet(coder.coder_id, width, height, coder.fingerprint, coded.quality,
                           seed & 0xFF, sequence & 0xFFFF, None, words, things, coded.data))

    @staticmethod
    def _fit_text(caption: str, objects: Sequence[SceneObject], room: int
                  ) -> tuple[bytes, bytes]:
        budget = int(room * TEXT_SHARE)
        best = sorted(objects, key=lambda o: -o.score)[:min(MAX_OBJECTS,
                                                            budget // BYTES_PER_OBJECT)]
        things = encode_objects(best)
        words = encode_caption(truncate_caption(caption, budget - len(things)))
        return words, things

    def _code(self, picture: np.ndarray, room: int) -> tuple[PictureCoder, Coded]:
        first, second = self._choose(picture, room)
        try:
            return first, first.encode(picture, room)
        except BudgetError:
            if second is None:
                raise
            return second, second.encode(picture, room)

    def _choose(self, picture: np.ndarray, room: int) -> tuple[PictureCoder, PictureCoder | None]:
        """Coder for this rate, and the one to fall back on."""
        if self._coder == 'hevc' or self._learned is None or self._policy is None:
            return self._hevc, None
        if self._coder == 'learned':
            return self._learned, None
        bpp = 8 * room / (picture.shape[0] * picture.shape[1])
        if bpp < self._policy.learned_below:
            return self._learned, self._hevc
        return self._hevc, self._learned
