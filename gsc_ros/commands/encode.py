"""``gsc encode``: pictures to packets."""
from __future__ import annotations

import argparse
from pathlib import Path
import sys

from gsc_ros.commands.files import output_paths
from gsc_ros.sources import read_picture
from tqdm import tqdm


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
    describe = _silent if args.no_text else _describer(args)
    pairs = list(zip(args.inputs, outputs, strict=True))
    for source, target in tqdm(pairs, unit='pic', disable=len(pairs) < 2 or None):
        picture = read_picture(source)
        caption, objects = describe(picture)
        data = encoder.encode(picture, args.max_bytes, caption=caption, objects=objects,
                              seed=args.seed)
        target.write_bytes(data)
        bpp = 8 * len(data) / (picture.shape[0] * picture.shape[1])
        tqdm.write(f'{target}: {len(data)} bytes, {bpp:.4f} bpp', file=sys.stdout)
    return 0


def _silent(picture):  # type: ignore[no-untyped-def]
    return '', []


def _describer(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from gsc_ros.models.captioner import load_captioner
    from gsc_ros.models.detector import load_detector
    detector = load_detector(args.detector, args.device)
    captioner = None if args.caption is not None else load_captioner(args.captioner, args.device)

    def describe(picture):  # type: ignore[no-untyped-def]
        objects = detector.detect(picture)
        caption = args.caption if captioner is None else captioner.describe(picture, objects)
        return caption, objects
    return describe
