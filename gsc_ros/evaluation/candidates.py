"""What is compared: our own packets and the peers, all as real bytes that are decoded again."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
import re
import time
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.errors import BudgetError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.evaluation.judges.detection import matches
from gsc_ros.receiver import View
from gsc_ros.scene.watcher import Scene
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture, SemanticDecoder
    from gsc_ros.encoder import SemanticEncoder
    from gsc_ros.evaluation.judges.judge import Measure
    from gsc_ros.scene.describe import Describe

Clock = Callable[[], float]
SOURCE, PLAIN, REGENERATED, PEER = VARIANTS = 'source', 'plain', 'regenerated', 'peer'
DEFAULT, GENERATED = 'default', 'generated'
_OURS = re.compile(r'gsc(?:-(auto|learned|hevc))?(-notext)?(-nofocus)?'
                   r'(?:-(plain|generated)|-steps(\d+))?')


@dataclass(frozen=True)
class Candidate:
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


@dataclass(frozen=True)
class OurCodec:
    """What a name such as ``gsc-hevc-notext-steps4`` means."""

    name: str
    coder: str      # 'auto', 'learned' or 'hevc', as SemanticEncoder knows them
    text: bool      # whether packets carry caption and objects
    output: str     # DEFAULT, PLAIN or GENERATED
    steps: int | None = None
    focus: bool = True      # whether the objects are coded more finely than the rest

    @property
    def packing(self) -> tuple[str, bool, bool]:
        """Names that share it share their packets."""
        return self.coder, self.text, self.focus

    @property
    def view(self) -> View:
        """How the base station looks at its packets."""
        return View({DEFAULT: None, PLAIN: False, GENERATED: True}[self.output], self.steps)

    @property
    def describes(self) -> bool:
        """Whether it needs to know what is in the picture."""
        return self.text or self.focus


def parse_codec(name: str) -> OurCodec | None:
    """Read gsc[-CODER][-notext][-nofocus][-plain | -generated | -stepsN]; None for others."""
    match = _OURS.fullmatch(name)
    if match is None:
        return None
    coder, notext, nofocus, output, steps = match.groups()
    return OurCodec(name, coder or 'auto', not notext,
                    GENERATED if steps else output or DEFAULT,
                    int(steps) if steps else None, not nofocus)


class OurCodecs:
    """Our encoder and decoder under all the names wanted; packets are shared between names."""

    def __init__(self, encoders: dict[str, SemanticEncoder], decoder: SemanticDecoder,
                 describe: Describe | None, clock: Clock = time.perf_counter) -> None:
        """
        Take what ``load_ours`` loads.

        :param encoders: by coder.
        :param describe: caption and objects of a picture; None: packets without text.
        """
        self.encoders, self.decoder, self.clock = encoders, decoder, clock
        self._describe = describe

    def describe(self, picture: np.ndarray) -> Scene:
        """Caption and objects as the robot would send them."""
        caption, objects = self._describe(picture) if self._describe else ('', [])
        return Scene(caption, tuple(objects))

    def still(self, picture: np.ndarray, words: Scene, codecs: Sequence[OurCodec], max_bytes: int
              ) -> Iterator[Candidate]:
        """
        Code a picture on its own; one packet for the names that differ in decoding only.

        Where no packet is that small, the smallest there is.
        """
        for packing in dict.fromkeys(c.packing for c in codecs):
            same = [c for c in codecs if c.packing == packing]
            began = self.clock()
            data = self._encode(picture, max_bytes, same[0], words)
            encode_s = self.clock() - began
            for codec, (decoded, decode_s) in zip(same, self._outputs(data, same), strict=True):
                yield candidate(codec, decoded, encode_s, decode_s)

    def _encode(self, picture: np.ndarray, max_bytes: int, codec: OurCodec, words: Scene) -> bytes:
        said = words if codec.text else Scene()
        focus = Focus.on(words.objects) if codec.focus else NOWHERE
        while True:     # where there is more room there is more text, and less for the picture
            try:
                return self.encoders[codec.coder].encode(
                    picture, max_bytes, caption=said.caption, objects=said.objects, focus=focus)
            except BudgetError as error:   # as for the peers: the smallest there is, marked
                if error.smallest <= max_bytes:
                    raise
                max_bytes = error.smallest


    def _outputs(self, data: bytes, codecs: Sequence[OurCodec]
                 ) -> list[tuple[DecodedPicture, float]]:
        """Decode once for all names that give the same picture."""
        done: dict[tuple[str, int | None], tuple[DecodedPicture, float]] = {}
        if any(c.output == DEFAULT for c in codecs):
            done[DEFAULT, None] = default = self.decode(data, OurCodec('', '', True, DEFAULT))
            same = PLAIN if default[0].regenerated is None else GENERATED
            done[same, None] = default
        results = []
        for codec in codecs:
            key = codec.output, codec.steps
            if key not in done:
                done[key] = self.decode(data, codec)
            results.append(done[key])
        return results

    def decode(self, data: bytes, codec: OurCodec) -> tuple[DecodedPicture, float]:
        """Decode a packet that stands alone as a name says; and the time it took in s."""
        began = self.clock()
        view = codec.view
        decoded = self.decoder.decode(data, generate=view.generate, steps=view.steps)
        return decoded, self.clock() - began


def candidate(codec: OurCodec, decoded: DecodedPicture, encode_s: float, decode_s: float
              ) -> Candidate:
    """Make the candidate of a decoded packet."""
    plain = codec.output == PLAIN or decoded.regenerated is None
    packet = decoded.packet
    parts = {'caption': len(packet.caption), 'objects': len(packet.objects),
             'latent': len(packet.latent)}
    detail = {'coder': packet.coder.name.lower(), 'quality': packet.quality, 'text': codec.text,
              'parts': parts, 'caption': decoded.caption}
    return Candidate(codec.name, decoded.plain if plain else decoded.picture, packet.size,
                     sum(parts.values()), PLAIN if plain else REGENERATED, encode_s, decode_s,
                     detail, Scene(decoded.caption, tuple(decoded.objects)))


def load_ours(codecs: Sequence[OurCodec], device: str) -> OurCodecs:
    """
    Load coders, generator and, where a name carries text, detector and captioner.

    :raises CheckpointError: if weights are missing.
    """
    from gsc_ros.decoder import SemanticDecoder
    from gsc_ros.encoder import SemanticEncoder
    describe = None
    if any(c.describes for c in codecs):
        from gsc_ros.scene.describe import load_describe
        describe = load_describe(device=device)
    encoders = {coder: SemanticEncoder(coder, device) for coder in {c.coder for c in codecs}}
    return OurCodecs(encoders, SemanticDecoder(device), describe)


def recall(sent: Scene, words: Scene, wanted: Sequence[SceneObject]) -> dict[str, float | None]:
    """
    Say what of caption and objects a packet conveys.

    ``caption_recall``: share of the words of the robot's caption that were sent;
    ``object_recall``: share of the objects ``wanted`` (the judge's, on the source) that were sent.
    None where there is nothing to convey.
    """
    said, all_words = sent.caption.split(), words.caption.split()
    kept = sum(min(said.count(word), all_words.count(word)) for word in set(all_words))
    right = sum(right for _, _, right in matches(sent.objects, wanted))
    return {'caption_recall': kept / len(all_words) if all_words else None,
            'object_recall': right / len(wanted) if wanted else None}


def peer_still(name: str, picture: np.ndarray, max_bytes: int, distance: Measure | None
               ) -> Candidate:
    """Code with a standard codec at its best scale and quality."""
    from gsc_ros.evaluation.peers import stills as peers
    result = peers.code_still(name, picture, max_bytes, distance=distance)
    return Candidate(name, result.decoded, result.bytes, result.payload_bytes, PEER,
                     result.encode_s, result.decode_s, as_table(result.detail))


def as_table(detail: Any) -> dict[str, Any]:
    """Turn the settings that a peer chose into JSON values for a row."""
    return asdict(detail) if is_dataclass(detail) and not isinstance(detail, type) \
        else dict(detail)


def check_codecs(names: Sequence[str]) -> None:
    """
    See to it that there are names, all known.

    :raises InvalidInputError: otherwise, listing the names.
    """
    from gsc_ros.evaluation.peers.stills import PEERS
    from gsc_ros.evaluation.peers.video_codecs import VIDEO
    known = [*PEERS, *VIDEO]
    unknown = [name for name in names if parse_codec(name) is None and name not in known]
    if unknown or not names:
        ours = 'gsc[-auto|-learned|-hevc][-notext][-nofocus][-plain|-generated|-stepsN]'
        raise InvalidInputError('--codecs', ', '.join(unknown) or 'empty',
                                ', '.join((ours, *known)))
