"""The one way from a picture to a packet: live nodes, CLI and evaluation all come through here."""
from __future__ import annotations

from collections.abc import Sequence

from gsc_ros.codec.bitstream import HEADER_BYTES, MAX_PACKET, pack, Packet
from gsc_ros.codec.caption import encode_caption, truncate_caption
from gsc_ros.codec.coder import check_picture, Draft, PictureCoder
from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.objects import BYTES_PER_OBJECT, encode_objects, MAX_OBJECTS, SceneObject
from gsc_ros.codec.references import SenderReferences
from gsc_ros.codec.regions import Focus
from gsc_ros.coders import AUTO, BY_NAME, NAMES
from gsc_ros.models.policy import Policy
import numpy as np

# Text and objects may take at most this share of a packet; the picture keeps the rest.
TEXT_SHARE = 0.25


class SemanticEncoder:
    """Encodes pictures; one instance serves many pictures and cameras, one at a time."""

    def __init__(self, coder: str = AUTO, device: str = 'cpu') -> None:
        """
        Load what the coder needs; ``auto`` takes those that the policy knows to win somewhere.

        :raises InvalidInputError: if there is no such coder.
        :raises CheckpointError: if its weights are missing.
        """
        if coder not in NAMES:
            raise InvalidInputError('coder', coder, ', '.join(NAMES))
        self._policy = Policy.load()
        names = self._policy.coders if coder == AUTO else (coder,)
        self._coders: dict[str, PictureCoder] = {n: BY_NAME[n].load(device) for n in names}

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
        return pack(self.encode_packet(
            picture, max_bytes, caption=caption, objects=objects, sequence=sequence, seed=seed,
            references=references, focus=focus))

    def encode_packet(self, picture: np.ndarray, max_bytes: int, *, caption: str = '',
                      objects: Sequence[SceneObject] = (), sequence: int = 0, seed: int = 0,
                      references: SenderReferences | None = None, focus: Focus | None = None
                      ) -> Packet:
        """Encode as ``encode`` does, and return the packet's fields."""
        check_picture(picture)
        limit = min(max_bytes, MAX_PACKET)
        # 1. what can be said in words
        caption_bytes, object_bytes = _fit_text(caption, objects, max(0, limit - HEADER_BYTES))
        height, width = picture.shape[:2]
        draft = Draft(width, height, seed & 0xFF, sequence & 0xFFFF, caption_bytes, object_bytes,
                      caption, tuple(objects))
        # 2. the picture, in the bytes that are left, most of them for what matters
        focus = Focus.on(objects) if focus is None else focus
        for coder in self._ranked(draft, limit):
            try:
                return coder.encode_packet(picture, draft, limit, focus, references)
            except BudgetError as error:
                failure = error
        raise BudgetError(max_bytes, failure.smallest) from failure

    def _ranked(self, draft: Draft, limit: int) -> list[PictureCoder]:
        """Coders to try at this rate, the best first."""
        best = self._policy.best_coder(8 * (limit - draft.size) / (draft.width * draft.height))
        return [self._coders[name] for name in sorted(self._coders, key=lambda n: n != best)]


def _fit_text(caption: str, objects: Sequence[SceneObject], room: int) -> tuple[bytes, bytes]:
    """Caption and object bytes that take at most ``TEXT_SHARE`` of ``room`` bytes."""
    budget = int(room * TEXT_SHARE)
    best = sorted(objects, key=lambda o: -o.score)[:min(MAX_OBJECTS, budget // BYTES_PER_OBJECT)]
    object_bytes = encode_objects(best)
    caption_bytes = encode_caption(truncate_caption(caption, budget - len(object_bytes)))
    return caption_bytes, object_bytes
