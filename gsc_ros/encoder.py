"""The one way from a picture to a packet: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gsc_ros.codec.bitstream import (
    CoderId,
    HEADER_BYTES,
    MAX_PACKET,
    MAX_SIDE,
    MIN_SIDE,
    pack,
    Packet,
)
from gsc_ros.codec.caption import encode_caption, truncate_caption
from gsc_ros.codec.coder import PictureCoder
from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.hevc.coder import HevcCoder
from gsc_ros.codec.hevc.packets import encode_packet
from gsc_ros.codec.objects import BYTES_PER_OBJECT, encode_objects, MAX_OBJECTS, SceneObject
from gsc_ros.codec.references import SenderReferences
from gsc_ros.codec.regions import Focus
from gsc_ros.models.policy import Policy
import numpy as np

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
        Load what the coder needs: ``learned`` its networks, ``auto`` those that its policy takes.

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
        self._policy = Policy.load()
        if self._coder == 'learned' or self._policy.learned_below > 0:
            # torch takes seconds to import: only those who need it do
            from gsc_ros.models.learned_coder import LearnedCoder
            self._learned = LearnedCoder.load(device)

    def encode(self, picture: np.ndarray, max_bytes: int, *, caption: str = '',
               objects: Sequence[SceneObject] = (), sequence: int = 0, seed: int = 0,
               references: SenderReferences | None = None, focus: Focus | None = None) -> bytes:
        """
        Encode a picture (H, W, 3) uint8 RGB into a packet of at most ``max_bytes`` bytes.

        Caption and objects take at most a quarter of the packet (best objects first, the
        caption cut at a word); the picture gets what is left. With the camera's ``references``
        the packet may need a picture that the base station has acknowledged, and takes far fewer
        bytes where little has changed; without, it stands alone. The objects are coded more
        finely than the rest, whether or not they are named in the packet; ``focus`` names other
        regions, or none.

        :raises InvalidInputError: if an argument is outside its range.
        :raises BudgetError: if no packet of this picture is that small.
        """
        check_picture(picture)
        limit = min(max_bytes, MAX_PACKET)
        # 1. what can be said in words
        words, things = self._fit_text(caption, objects, max(0, limit - HEADER_BYTES))
        height, width = picture.shape[:2]
        draft = Packet(CoderId.HEVC, width, height, HevcCoder.fingerprint, 0, seed & 0xFF,
                       sequence & 0xFFFF, None, words, things, b'')
        # 2. the picture, in the bytes that are left, most of them for what matters
        if focus is None:
            focus = Focus.on(objects)
        coders = self._choose(draft, limit - len(pack(draft)))
        try:
            if references is not None and coders[0] is self._hevc:
                packet = encode_packet(picture, draft, limit, references, caption=caption,
                                       objects=objects, focus=focus)
            else:
                packet = _alone(coders, picture, draft, limit, focus)
        except BudgetError as error:
            raise BudgetError(max_bytes, error.smallest) from error
        # 3. one packet
        return pack(packet)

    @staticmethod
    def _fit_text(caption: str, objects: Sequence[SceneObject], room: int
                  ) -> tuple[bytes, bytes]:
        budget = int(room * TEXT_SHARE)
        best = sorted(objects, key=lambda o: -o.score)[:min(MAX_OBJECTS,
                                                            budget // BYTES_PER_OBJECT)]
        things = encode_objects(best)
        words = encode_caption(truncate_caption(caption, budget - len(things)))
        return words, things

    def _choose(self, draft: Packet, room: int) -> list[PictureCoder]:
        """Coders to try at this rate, the best first."""
        if self._coder == 'hevc' or self._learned is None or self._policy is None:
            return [self._hevc]
        if self._coder == 'learned':
            return [self._learned]
        if 8 * room / (draft.width * draft.height) < self._policy.learned_below:
            return [self._learned, self._hevc]
        return [self._hevc, self._learned]


def _alone(coders: Sequence[PictureCoder], picture: np.ndarray, draft: Packet, limit: int,
           focus: Focus) -> Packet:
    """Complete a packet with the picture on its own, by the first coder that can."""
    taken = len(pack(draft))
    for coder in coders:
        try:
            coded = coder.encode(picture, limit - taken, focus)
        except BudgetError as error:
            failure = error
            continue
        return replace(draft, coder=coder.coder_id, fingerprint=coder.fingerprint,
                       quality=coded.quality, latent=coded.data)
    raise BudgetError(limit, failure.smallest + taken) from failure
