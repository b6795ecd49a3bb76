"""Pictures through our own encoder and decoder, under the names of ``codec_names``."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import time
from typing import TYPE_CHECKING

from gsc_ros.codec.errors import BudgetError
from gsc_ros.codec.regions import Focus, NOWHERE
from gsc_ros.evaluation.codec_names import DEFAULT, GENERATED, OurCodec
from gsc_ros.evaluation.coded_pictures import CodedPicture, PLAIN, REGENERATED
from gsc_ros.scene.watcher import Scene
import numpy as np

if TYPE_CHECKING:
    from gsc_ros.decoder import DecodedPicture, SemanticDecoder
    from gsc_ros.encoder import SemanticEncoder
    from gsc_ros.scene.describe import Describe

Clock = Callable[[], float]


class OurCodecs:
    """Our encoder and decoder under all the names wanted; packets are shared between names."""

    def __init__(self, encoders: dict[str, SemanticEncoder], decoder: SemanticDecoder,
                 describe: Describe | None, clock: Clock = time.perf_counter) -> None:
        """
        Take the parts that ``load_ours`` loads.

        :param encoders: by the coder's name.
        :param describe: gives caption and objects of a picture; None: packets without text.
        :param clock: seconds, for the times of encoding and decoding.
        """
        self.encoders, self.decoder, self.clock = encoders, decoder, clock
        self._describe = describe

    def describe(self, picture: np.ndarray) -> Scene:
        """Caption and objects of a picture (H, W, 3) uint8, as the robot would send them."""
        caption, objects = self._describe(picture) if self._describe else ('', [])
        return Scene(caption, tuple(objects))

    def still(self, picture: np.ndarray, scene: Scene, codecs: Sequence[OurCodec], max_bytes: int
              ) -> Iterator[CodedPicture]:
        """
        Code a picture (H, W, 3) uint8 on its own; names that differ in decoding share a packet.

        Where no packet keeps ``max_bytes``, the smallest there is, as with the peers.
        """
        for packing in dict.fromkeys(c.packing for c in codecs):
            same = [c for c in codecs if c.packing == packing]
            began = self.clock()
            data = self._encode(picture, max_bytes, same[0], scene)
            encode_s = self.clock() - began
            for codec, (decoded, decode_s) in zip(same, self._outputs(data, same), strict=True):
                yield coded_picture(codec, decoded, encode_s, decode_s)

    def _encode(self, picture: np.ndarray, max_bytes: int, codec: OurCodec, scene: Scene) -> bytes:
        sent = scene if codec.text else Scene()
        focus = Focus.on(scene.objects) if codec.focus else NOWHERE
        while True:     # a higher ceiling lets more text in, so the smallest packet may grow
            try:
                return self.encoders[codec.coder].encode(
                    picture, max_bytes, caption=sent.caption, objects=sent.objects, focus=focus)
            except BudgetError as error:
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
        """Decode a packet that needs no reference, as a name says; the seconds it took."""
        began = self.clock()
        view = codec.view
        decoded = self.decoder.decode(data, generate=view.generate, steps=view.steps)
        return decoded, self.clock() - began


def coded_picture(codec: OurCodec, decoded: DecodedPicture, encode_s: float, decode_s: float
              ) -> CodedPicture:
    """Return what is judged of a decoded packet: picture, sizes, what it said."""
    plain = codec.output == PLAIN or decoded.regenerated is None
    packet = decoded.packet
    parts = {'caption': len(packet.caption), 'objects': len(packet.objects),
             'latent': len(packet.latent)}
    detail = {'coder': packet.coder.name.lower(), 'quality': packet.quality, 'text': codec.text,
              'parts': parts, 'caption': decoded.caption}
    return CodedPicture(codec.name, decoded.plain if plain else decoded.picture, packet.size,
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
