"""
Makes the golden packets of a stream in which pictures are predicted: python make_golden_inter.py.

Files of a released version are never made again: they must decode for ever.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gsc_ros.codec.bitstream import SHORT_VERSION, unpack
from gsc_ros.codec.hevc.coder import decode_reference
from gsc_ros.codec.objects import SceneObject
from gsc_ros.codec.references import ReceiverReferences, Reference, SenderReferences
from gsc_ros.encoder import SemanticEncoder
from make_golden import picture
import numpy as np

FOLDER = Path(__file__).parent
CAR = SceneObject(2, 0.9, (0.1, 0.5, 0.4, 0.8))
# name, columns that the picture has moved by, caption; sequence numbers wrap on the way
_CASES = (('alone', 0, 'a car'), ('moved', 6, 'a car, moving'), ('again', 9, 'a car, moving'),
          ('still', 9, 'a car, moving'), ('same', 9, 'a car, moving'))
_FIRST = 65534


def planes_digest(reference: Reference) -> str:
    """SHA-256 of the decoded H.265 planes, which are the same on every machine."""
    return hashlib.sha256(b''.join(plane.tobytes() for plane in reference.planes)).hexdigest()


def main() -> None:
    """Write the packets of one stream, each picture acknowledged at once."""
    encoder, expected = SemanticEncoder('hevc'), {}
    sender, receiver = SenderReferences(), ReceiverReferences()
    for number, (name, columns, caption) in enumerate(_CASES, start=_FIRST):
        moved = np.roll(picture(320, 240), columns, axis=1)
        data = encoder.encode(moved, 400, caption=caption, objects=[CAR], sequence=number,
                              references=sender)
        packet = unpack(data)
        reference = decode_reference(packet, receiver)
        sender.acknowledge(packet.sequence)
        (FOLDER / f'v{SHORT_VERSION}_inter_{name}.gsc').write_bytes(data)
        expected[f'v{SHORT_VERSION}_inter_{name}'] = {
            'version': packet.version, 'quality': reference.quality,
            'sequence': packet.sequence, 'reference': packet.reference, 'caption': caption,
            'text_repeats': packet.text_repeats, 'objects': len(reference.object_bytes) // 5,
            'latent_bytes': len(packet.latent), 'planes': planes_digest(reference)}
    (FOLDER / f'v{SHORT_VERSION}_inter.json').write_text(json.dumps(expected, indent=1) + '\n')


if __name__ == '__main__':
    main()
