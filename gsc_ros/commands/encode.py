"""``gsc encode``: pictures to packets."""
from __future__ import annotations

import argparse
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from gsc_ros.codec.regions import Focus, STRENGTH
from gsc_ros.commands.files import output_paths
from gsc_ros.media.sources import read_picture
from tqdm import tqdm

if TYPE_CHECKING:
    from gsc_ros.scene.describe import Describe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('encode', help='pictures to packets (.gsc)')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN', help='picture files')
    parser.add_argument('-o', '--output', type=Path, required=True,
                        help='file, or folder for several inputs')
    parser.add_argument('--max-bytes', type=int, required=True, metavar='N',
                        help='ceiling of each packet in bytes, header included')
    parser.add_argument('--caption', help='text to send; default: described by the captioner')
    parser.add_argument('--no-text', action='store_true', help='send neither caption nor objects')
    parser.add_argument('--focus', type=float, default=STRENGTH, metavar='PIXELS',
                        help='how far all but the objects is smoothed in their favour, in pixels '
                             'of the coded picture (default: %(default)s)')
    parser.add_argument('--coder', choices=('auto', 'learned', 'hevc'), default='auto')
    parser.add_argument('--detector', default='yolo26n.pt',
                        help='YOLO file or name that finds the objects (default: %(default)s)')
    parser.add_argument('--captioner', default='scene',
                        help='"scene" or a transformers model (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the generator, 0..255')
    parser.add_argument('--device', default='cpu')


def run(args: argparse.Namespace) -> int:
    """Encode every input; the first failure stops with exit code 1."""
    from gsc_ros.encoder import SemanticEncoder
    outputs = output_paths(args.inputs, args.output, '.gsc')
    encoder = SemanticEncoder(args.coder, args.device)
    describe = _describer(args)
    pairs = list(zip(args.inputs, outputs, strict=True))
    for source, target in tqdm(pairs, unit='pic', disable=len(pairs) < 2 or None):
        picture = read_picture(source)
        caption, objects = describe(picture)
        focus = Focus.on(objects, args.focus)
        data = encoder.encode(picture, args.max_bytes, caption=caption, objects=objects,
                              seed=args.seed, focus=focus)
        target.write_bytes(data)
        bpp = 8 * len(data) / (picture.shape[0] * picture.shape[1])
        tqdm.write(f'{target}: {len(data)} bytes, {bpp:.4f} bpp', file=sys.stdout)
    return 0


def _describer(args: argparse.Namespace) -> Describe:
    from gsc_ros.scene.describe import load_describe, NONE
    if args.no_text:
        return load_describe(NONE, NONE)
    if args.caption is None:
        return load_describe(args.detector, args.captioner, args.device)
    describe = load_describe(args.detector, NONE, args.device)
    return lambda picture: (args.caption, describe(picture)[1])
