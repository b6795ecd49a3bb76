"""What is judged: decoded pictures with the real bytes that they took, ours and the peers'."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.judges.detection import matches
from gsc_ros.evaluation.peers.stills import code_still
from gsc_ros.scene.watcher import Scene
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.evaluation.judges.judge import Measure

SOURCE, PLAIN, REGENERATED, PEER = VARIANTS = 'source', 'plain', 'regenerated', 'peer'


@dataclass(frozen=True)
class CodedPicture:
    """One decoded picture under one ceiling; sizes in bytes, times in seconds."""

    codec: str
    picture: np.ndarray      # (H, W, 3) uint8, the source's size
    size: int                # everything that a receiver needs
    payload: int             # without container or packet header
    variant: str
    encode_s: float
    decode_s: float
    detail: dict[str, Any] = field(default_factory=dict)
    sent: Scene | None = None     # of our packets: what they say beside the picture


def recall(sent: Scene, robot: Scene, wanted: Sequence[SceneObject]) -> dict[str, float | None]:
    """
    Return the shares of caption and objects that a packet conveys.

    ``caption_recall``: share of the words of the robot's caption that were sent;
    ``object_recall``: share of the objects ``wanted`` (the judge's, on the source) that were sent.
    None where there is nothing to convey.
    """
    said, all_words = sent.caption.split(), robot.caption.split()
    kept = sum(min(said.count(word), all_words.count(word)) for word in set(all_words))
    right = sum(right for _, _, right in matches(sent.objects, wanted))
    return {'caption_recall': kept / len(all_words) if all_words else None,
            'object_recall': right / len(wanted) if wanted else None}


def peer_still(name: str, picture: np.ndarray, max_bytes: int, distance: Measure | None
               ) -> CodedPicture:
    """Code a picture (H, W, 3) uint8 with a peer at its best scale and quality."""
    result = code_still(name, picture, max_bytes, distance=distance)
    return CodedPicture(name, result.decoded, result.bytes, result.payload_bytes, PEER,
                        result.encode_s, result.decode_s, as_table(result.detail))


def as_table(detail: Any) -> dict[str, Any]:
    """Turn the settings that a peer chose into JSON values for a row."""
    return asdict(detail) if is_dataclass(detail) and not isinstance(detail, type) \
        else dict(detail)
