"""``gsc encode``: pictures to packets."""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from gsc_ros import coders
from gsc_ros.codec.bitstream import MAX_SIDE, MIN_SIDE
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.regions import Focus, STRENGTH, STRONGEST
from gsc_ros.commands.files import (
    check_number,
    output_paths,
    work_through,
)
from gsc_ros.media.files import read_picture
from gsc_ros.media.images import shrink_to_width
from gsc_ros.media.outputs import write_file

if TYPE_CHECKING:
    from gsc_ros.encoder import SemanticEncoder
    from gsc_ros.scene.describe import Describe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('encode', help='pictures to packets (.gsc)')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN', help='picture files')
    parser.add_argument('-o', '--output', type=Path, required=True,
                        help='file, or folder for several inputs')
    parser.add_argument('--max-bytes', type=int, required=True, metavar='N',
                        help='ceiling of each packet in bytes, header included')
    parser.add_argument('--max-width', type=int, metavar='PIXELS',
                        help='wider pictures are scaled down to this first, 16..4096')
    parser.add_argument('--caption', help='text to send; default: described by the captioner')
    parser.add_argument('--no-text', action='store_true', help='send neither caption nor objects')
    parser.add_argument('--focus', type=float, default=STRENGTH, metavar='PIXELS',
                        help='how far all but the objects is smoothed in their favour, in pixels '
                             'of the coded picture (default: %(default)s)')
    parser.add_argument('--coder', choices=coders.NAMES, default=coders.AUTO)
    parser.add_argument('--detector', default='yolo26n.pt',
                        help='YOLO file or name that finds the objects (default: %(default)s)')
    parser.add_argument('--captioner', default='scene',
                        help='"scene" or a transformers model (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the generator, 0..255')
    parser.add_argument('--device', default='cpu')


def run(args: argparse.Namespace) -> int:
    """Encode every input; 1 if one of them failed, which costs only itself."""
    from gsc_ros.encoder import SemanticEncoder
    _check(args)
    outputs = output_paths(args.inputs, args.output, '.gsc')
    encoder = SemanticEncoder(args.coder, args.device)
    describe = _describer(args)
    return work_through(args.inputs, outputs, lambda source, target: _encode(
        args, encoder, describe, source, target))


def _check(args: argparse.Namespace) -> None:
    check_number('--seed', args.seed, 0, 255)
    check_number('--max-width', args.max_width, MIN_SIDE, MAX_SIDE)
    check_number('--focus', args.focus, 0, STRONGEST)
    check_number('--max-bytes', args.max_bytes, 1, math.inf)
    if args.no_text and args.caption is not None:
        raise InvalidInputError('--caption', repr(args.caption), 'nothing with --no-text')


def _encode(args: argparse.Namespace, encoder: SemanticEncoder, describe: Describe,
            source: Path, target: Path) -> str:
    """Encode a picture; say what came of it."""
    picture = read_picture(source)
    if args.max_width is not None:
        picture = shrink_to_width(picture, args.max_width)
    height, width = picture.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise InvalidInputError('size', f'{width}x{height}',
                                f'sides of at most {MAX_SIDE} pixels; give --max-width')
    caption, objects = describe(picture)
    focus = Focus.on(objects, args.focus)
    data = encoder.encode(picture, args.max_bytes, caption=caption, objects=objects,
                          seed=args.seed, focus=focus)
    write_file(target, data)
    return f'{target}: {len(data)} bytes, {8 * len(data) / (height * width):.4f} bpp'


def _describer(args: argparse.Namespace) -> Describe:
    from gsc_ros.scene.describe import load_describe, NONE
    if args.no_text:
        return load_describe(NONE, NONE)
    if args.caption is None:
        return load_describe(args.detector, args.captioner, args.device)
    describe = load_describe(args.detector, NONE, args.device)
    return lambda picture: (args.caption, describe(picture)[1])
