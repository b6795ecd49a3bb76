"""``gsc info``: every field of a packet and what each part costs."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gsc_ros.codec.bitstream import Packet, SHORT_VERSION, unpack
from gsc_ros.commands.files import naming, read_packet


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('info', help='fields of a packet and what each part costs')
    parser.add_argument('input', type=Path, metavar='IN.gsc')
    parser.add_argument('--json', action='store_true', help='for scripts')


def describe(data: bytes) -> dict[str, Any]:
    """
    Fields of a packet, ready for JSON; ``bytes`` holds what each part costs.

    :raises PacketError: if it cannot be read.
    """
    from gsc_ros.codec.caption import decode_caption
    from gsc_ros.codec.classes import COCO_NAMES
    from gsc_ros.codec.objects import decode_objects
    packet = unpack(data)
    parts = {'caption': len(packet.caption), 'objects': len(packet.objects),
             'latent': len(packet.latent)}
    return {
        'format': packet.version, 'coder': packet.coder.name.lower(), **_own(packet),
        'sequence': packet.sequence, 'reference': packet.reference,
        'text': 'as in the reference' if packet.text_repeats else 'here',
        'caption': decode_caption(packet.caption),
        'objects': [{'class': COCO_NAMES[o.class_id], 'score': round(o.score, 3),
                     'box': [round(x, 4) for x in o.box]}
                    for o in decode_objects(packet.objects)],
        'bytes': {'header': len(data) - sum(parts.values()), **parts, 'total': len(data)}}


def _own(packet: Packet) -> dict[str, Any]:
    """Fields that a packet of format 2 takes from its reference: None there."""
    names = ('width', 'height', 'fingerprint', 'quality', 'seed', 'bpp')
    if packet.version == SHORT_VERSION:
        return dict.fromkeys(names)
    bpp = round(8 * packet.size / (packet.width * packet.height), 6)
    return dict(zip(names, (packet.width, packet.height, f'{packet.fingerprint:#06x}',
                            packet.quality, packet.seed, bpp), strict=True))


def run(args: argparse.Namespace) -> int:
    """Print the fields as lines or as JSON."""
    with naming(args.input):
        fields = describe(read_packet(args.input))
    if args.json:
        print(json.dumps(fields))
        return 0
    objects, sizes = fields.pop('objects'), fields.pop('bytes')
    for name, value in fields.items():
        if value is None and fields['format'] == 2:
            value = 'as in the reference'
        print(f'{name:12} {value}')
    for item in objects:
        print(f'{"object":12} {item["class"]} {item["score"]} at {item["box"]}')
    for part, size in sizes.items():
        print(f'{"bytes":12} {part} {size}')
    return 0
