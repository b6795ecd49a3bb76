"""``gsc decode``: packets to pictures."""
from __future__ import annotations

import argparse
from pathlib import Path
import sys

from gsc_ros.commands.files import output_paths, read_packet
from tqdm import tqdm


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('decode', help='packets (.gsc) to pictures')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN.gsc', help='packet files')
    parser.add_argument('-o', '--output', type=Path, required=True,
                        help='picture file, or folder (PNG) for several inputs')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--plain', action='store_true', help='what was sent, without generation')
    which.add_argument('--generate', action='store_true',
                       help='generate even where the shipped policy would not')
    parser.add_argument('--steps', type=int, help='steps of the flow, 1..64')
    parser.add_argument('--seed', type=int, help="noise seed instead of the packet's")
    parser.add_argument('--crispness', type=float, metavar='0..1',
                        help='from the plain picture (0) to all that was made (1)')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--prior', default='embedded',
                        help='embedded (default), or folder or hub id of a diffusers model')


def run(args: argparse.Namespace) -> int:
    """Decode every input; the first failure stops with exit code 1."""
    from gsc_ros.codec.errors import InvalidInputError
    from gsc_ros.decoder import SemanticDecoder
    from PIL import Image
    packets = [read_packet(path) for path in args.inputs]
    outputs = output_paths(args.inputs, args.output, '.png')
    decoder = SemanticDecoder(args.device, args.prior)
    # these only mean something to the generator: asking for one of them asks for it
    wanted = args.generate or any(
        value is not None for value in (args.steps, args.seed, args.crispness))
    generate = False if args.plain else True if wanted else None
    rows = list(zip(packets, outputs, strict=True))
    for data, target in tqdm(rows, unit='pic', disable=len(rows) < 2 or None):
        decoded = decoder.decode(data, steps=args.steps, seed=args.seed, generate=generate,
                                 crispness=args.crispness)
        try:
            Image.fromarray(decoded.picture).save(target)
        except ValueError as error:
            raise InvalidInputError('output', target, f'a picture format ({error})') from error
        kind = 'plain' if decoded.regenerated is None else 'regenerated'
        tqdm.write(f'{target}: {kind}, {decoded.bpp:.4f} bpp, "{decoded.caption}"',
                   file=sys.stdout)
    return 0
