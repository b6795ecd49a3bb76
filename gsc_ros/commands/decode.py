"""``gsc decode``: packets to pictures."""
from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.commands.files import (
    check_number,
    output_paths,
    read_packet,
    work_through,
)
from gsc_ros.media.outputs import write_file

if TYPE_CHECKING:
    from gsc_ros.decoder import SemanticDecoder

_EMBEDDED = 'embedded'
_MAX_STEPS = 64   # of the decoder, which is not imported for --help


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
    parser.add_argument('--prior', help=f'{_EMBEDDED} (default), or folder or hub id of a '
                        'diffusers model; asks for generation')


def run(args: argparse.Namespace) -> int:
    """Decode every input; 1 if one of them failed, which costs only itself."""
    from gsc_ros.decoder import SemanticDecoder
    options = _options(args)
    outputs = output_paths(args.inputs, args.output, '.png')
    decoder = SemanticDecoder(args.device, args.prior or _EMBEDDED)
    return work_through(args.inputs, outputs, lambda source, target: _decode(
        decoder, source, target, options))


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the decoder is asked for; options of the generator ask for it."""
    check_number('--seed', args.seed, 0, 255)
    check_number('--steps', args.steps, 1, _MAX_STEPS)
    check_number('--crispness', args.crispness, 0, 1)
    asks = {'--steps': args.steps, '--seed': args.seed, '--crispness': args.crispness,
            '--prior': args.prior}
    given = [option for option, value in asks.items() if value is not None]
    if args.plain and given:
        raise InvalidInputError('--plain', f'given with {", ".join(given)}',
                                'without what only a generator uses')
    generate = False if args.plain else True if args.generate or given else None
    return {'steps': args.steps, 'seed': args.seed, 'generate': generate,
            'crispness': args.crispness}


def _decode(decoder: SemanticDecoder, source: Path, target: Path, options: dict[str, Any]) -> str:
    """Decode a packet; say what came of it."""
    data = read_packet(source)
    decoded = decoder.decode(data, **options)
    write_file(target, _file_of(decoded.picture, target))
    kind = 'plain' if decoded.regenerated is None else 'regenerated'
    return f'{target}: {kind}, {decoded.bpp:.4f} bpp, "{decoded.caption}"'


def _file_of(picture: Any, target: Path) -> bytes:
    """Bytes of a picture file of the type that the name asks for."""
    from PIL import Image
    form = Image.registered_extensions().get(target.suffix.lower())
    if form not in Image.SAVE:
        raise InvalidInputError('output', target, 'a name that ends as a picture does, such as '
                                '.png')
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, form)
    return stream.getvalue()
