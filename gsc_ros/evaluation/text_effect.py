"""
How much caption and objects change what is generated, all else in the packet alike.

``python -m gsc_ros.evaluation.text_effect FOLDER... --bpp 0.01 --limit 5`` prints a table.
"""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from gsc_ros.codec.bitstream import pack, unpack
from gsc_ros.codec.caption import encode_caption
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.evaluation.inputs import StillInput
from gsc_ros.evaluation.inputs_find import find_inputs
from gsc_ros.evaluation.judges.vgg import VggMetric
from gsc_ros.scene.describe import load_describe
import numpy as np
from tqdm import tqdm

FALSE_CAPTION = 'a bowl of fruit on a kitchen table'


def variants(data: bytes) -> dict[str, bytes]:
    """Return a packet as sent, without each text, without both, and with a false caption."""
    packet = unpack(data)
    return {name: pack(changed) for name, changed in {
        'caption and objects': packet, 'objects only': replace(packet, caption=b''),
        'caption only': replace(packet, objects=b''),
        'neither': replace(packet, caption=b'', objects=b''),
        'false caption': replace(packet, caption=encode_caption(FALSE_CAPTION))}.items()}


def measure(pictures: list[np.ndarray], bpp: float) -> dict[str, list[tuple[float, float]]]:
    """
    Regenerate every variant of every picture's packet.

    :returns: variant -> (VGG distance to the source, mean change against 'neither' in grey
        levels of 0..255) of each picture.
    """
    encoder, decoder, vgg = SemanticEncoder('hevc'), SemanticDecoder(), VggMetric()
    describe = load_describe()
    rows: dict[str, list[tuple[float, float]]] = {}
    for picture in tqdm(pictures, unit='pic'):
        caption, objects = describe(picture)
        data = encoder.encode(picture, int(bpp * picture.shape[0] * picture.shape[1] / 8),
                              caption=caption, objects=objects)
        outs = {name: decoder.decode(packet, generate=True).picture.astype(float)
                for name, packet in variants(data).items()}
        for name, out in outs.items():
            change = float(np.abs(out - outs['neither']).mean())
            rows.setdefault(name, []).append((vgg(out.astype(np.uint8), picture), change))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', nargs='+', type=Path)
    parser.add_argument('--bpp', type=float, default=0.01)
    parser.add_argument('--limit', type=int, default=5, help='pictures of each folder')
    args = parser.parse_args()
    stills = [item for item in find_inputs(args.input, limit=args.limit)
              if isinstance(item, StillInput)]
    rows = measure([next(item.shots()).read() for item in stills], args.bpp)
    print('| text in the packet | VGG distance | change against no text |\n| --- | --- | --- |')
    for name, values in rows.items():
        distance, change = np.mean(values, axis=0)
        print(f'| {name} | {distance:.4f} | {change:.3f} grey levels |')


if __name__ == '__main__':
    main()
