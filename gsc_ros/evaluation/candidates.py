"""What is compared: our own packets and the peers, all as real bytes that are decoded again."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import Protocol, TYPE_CHECKING

from gsc_ros.codec.errors import BudgetError
from gsc_ros.evaluation.peers import Codec, Distance, PeerEncoder
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.codec.objects import SceneObject
    from gsc_ros.decoder import DecodedPicture, SemanticDecoder
    from gsc_ros.encoder import SemanticEncoder

Describe = Callable[[np.ndarray], tuple[str, Sequence['SceneObject']]]
PLAIN, GENERATED, DEFAULT = 'gsc-plain', 'gsc-generated', 'gsc'


@dataclass(frozen=True)
class Candidate:
    """One decoded picture under one ceiling; sizes in bytes, times in seconds."""

    codec: str
    picture: np.ndarray
    size: int
    payload: int      # without container or packet header
    exceeded: int     # above the ceiling: 0 if it fits
    scale: int        # 0 where the codec has no such setting
    quality: int
    generated: bool
    encode_s: float
    decode_s: float


class Producer(Protocol):
    """Makes candidates; ``name`` is the file that its rows go to."""

    name: str
    coder: str
    text: bool

    def codecs(self) -> list[str]:
        """Names of the candidates that one ``produce`` returns."""
        ...

    def start(self, picture: np.ndarray) -> None:
        """Take a new picture (H, W, 3) uint8."""
        ...

    def produce(self, max_bytes: int) -> list[Candidate]:
        """Pack, unpack and decode that picture under a ceiling."""
        ...


class PeerProducer:
    """A standard codec at its best scale and quality."""

    coder = ''
    text = False

    def __init__(self, codec: Codec, distance: Distance,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        self.name = codec.name
        self._codec, self._distance, self._clock = codec, distance, clock
        self._encoder: PeerEncoder | None = None

    def codecs(self) -> list[str]:
        """Only the codec itself."""
        return [self._codec.name]

    def start(self, picture: np.ndarray) -> None:
        """Forget the files of the last picture."""
        self._encoder = PeerEncoder(self._codec, picture)

    def produce(self, max_bytes: int) -> list[Candidate]:
        """One candidate; its time is that of the search, not of one encoding."""
        if self._encoder is None:
            raise RuntimeError('call start(picture) first')
        began = self._clock()
        best = self._encoder.best(max_bytes, self._distance)
        return [Candidate(self._codec.name, best.picture, best.size, best.payload, best.exceeded,
                          best.scale, best.quality, False, self._clock() - began, 0.0)]


class GscProducer:
    """
    Our packets: plain, regenerated and default output of the same bytes.

    :param coder: 'auto', 'learned' or 'hevc', as ``SemanticEncoder`` knows them.
    :param describe: caption and objects of a picture, or None to send no text.
    :param wanted: which of 'gsc', 'gsc-plain' and 'gsc-generated' to decode.
    """

    def __init__(self, encoder: SemanticEncoder, decoder: SemanticDecoder, coder: str,
                 describe: Describe | None, wanted: Sequence[str],
                 clock: Callable[[], float] = time.perf_counter) -> None:
        self.coder, self.text = coder, describe is not None
        self.name = f'gsc-{coder}-{"text" if describe else "notext"}'
        self._encoder, self._decoder = encoder, decoder
        self._describe, self._wanted, self._clock = describe, tuple(wanted), clock
        self._picture: np.ndarray | None = None
        self._scene: tuple[str, Sequence[SceneObject]] = '', ()

    def codecs(self) -> list[str]:
        """Those of the three outputs that are wanted."""
        return list(self._wanted)

    def start(self, picture: np.ndarray) -> None:
        """Describe the picture as a robot would."""
        self._picture = picture
        self._scene = self._describe(picture) if self._describe else ('', ())

    def produce(self, max_bytes: int) -> list[Candidate]:
        """Up to three candidates of one packet."""
        began = self._clock()
        data = self._encode(max_bytes)
        encoded = self._clock()
        default = self._decoder.decode(data)
        decode_s = self._clock() - encoded
        pictures = self._outputs(data, default)
        latent = len(default.packet.latent)
        return [Candidate(name, picture, len(data), latent, max(0, len(data) - max_bytes), 0,
                          default.packet.quality, generated, encoded - began, decode_s)
                for name, (picture, generated) in pictures.items() if name in self._wanted]

    def _encode(self, max_bytes: int) -> bytes:
        if self._picture is None:
            raise RuntimeError('call start(picture) first')
        caption, objects = self._scene
        try:
            return self._encoder.encode(self._picture, max_bytes, caption=caption, objects=objects)
        except BudgetError as error:   # as for the peers: the smallest there is, marked
            return self._encoder.encode(self._picture, error.smallest, caption=caption,
                                        objects=objects)

    def _outputs(self, data: bytes, default: DecodedPicture
                 ) -> dict[str, tuple[np.ndarray, bool]]:
        regenerated = default.regenerated
        if regenerated is None and GENERATED in self._wanted:
            regenerated = self._decoder.decode(data, generate=True).regenerated
        outputs = {DEFAULT: (default.picture, default.regenerated is not None),
                   PLAIN: (default.plain, False)}
        if regenerated is not None:
            outputs[GENERATED] = regenerated, True
        return outputs
