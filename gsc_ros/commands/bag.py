"""``gsc bag``: a bag with what the base station would have seen beside the original topics."""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import math
from pathlib import Path
import shutil
import sys
from typing import Any

from gsc_ros import coders
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.commands.files import check_number, print_error
from gsc_ros.media.bag_reader import DamagedBagError


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its options."""
    from gsc_ros.evaluation.bags import ConvertSettings
    default = ConvertSettings()
    parser = subparsers.add_parser(
        'bag', help='add packets, decoded pictures and detections to a rosbag2 bag',
        description='Copies IN to OUT and adds, for each camera, CAMERA/gsc and what a base '
                    'station would publish, with the stamps of the pictures. Plays with '
                    '"ros2 bag play".')
    parser.add_argument('input', type=Path, metavar='IN', help='rosbag2 bag (folder, .mcap, .db3)')
    parser.add_argument('output', type=Path, metavar='OUT', help='folder to make')
    parser.add_argument('--kbps', type=float, default=default.kbps, metavar='K',
                        help='speed of the link in 1000 bit/s, all cameras together '
                             '(default %(default)g)')
    parser.add_argument('--topics', default='', metavar='TOPIC,...',
                        help='cameras to send (default: all)')
    parser.add_argument('--coder', choices=coders.NAMES, default=coders.AUTO)
    parser.add_argument('--max-rate', type=float, default=default.live.max_rate, metavar='R',
                        help='most pictures per second of a camera (default %(default)g)')
    parser.add_argument('--rtt', type=float, default=default.live.rtt_s, metavar='S',
                        help='seconds from sending a packet to its acknowledgement '
                             '(default %(default)g)')
    parser.add_argument('--prefix', default=default.prefix,
                        help='where decoded topics go (default %(default)s)')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default=default.storage,
                        help='(default %(default)s)')
    parser.add_argument('--detector', default='auto', metavar='NAME',
                        help='at the base station: auto, none, an ONNX file, or a YOLO weight '
                             'file or name (default %(default)s)')
    parser.add_argument('--device', default='cpu', help='torch device (default %(default)s)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert and say what was done; 0 if every picture was readable."""
    from gsc_ros.commands.evaluate import split
    from gsc_ros.evaluation.bags import convert, ConvertSettings
    from gsc_ros.evaluation.codec_names import OurCodec
    from gsc_ros.evaluation.live import LiveSettings
    from gsc_ros.evaluation.our_codecs import load_ours
    for name in ('kbps', 'max_rate'):
        if not getattr(args, name) > 0:
            raise InvalidInputError(f'--{name.replace("_", "-")}', getattr(args, name), 'above 0')
    check_number('--rtt', args.rtt, 0, math.inf)
    settings = ConvertSettings(args.kbps, LiveSettings(max_rate=args.max_rate, rtt_s=args.rtt),
                               args.prefix, args.storage)
    ours = load_ours([OurCodec('gsc', args.coder, True, 'default')], args.device)
    with _removed_on_failure(args.output):
        done = convert(args.input, args.output, ours, _detector(args), settings,
                       tuple(split(args.topics)))
    print(f'{args.output}: {done.copied} messages copied, {done.sent} pictures sent '
          f'({done.sent_bytes} bytes)')
    for name in done.left_out:
        print(f'gsc: left out: {name}', file=sys.stderr)
    for problem in done.bad_pictures:
        print_error(problem)
    return 1 if done.bad_pictures else 0


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    """
    Remove what a failed command began, so that the same command can be given again.

    What was made of the readable part of a damaged bag is worth keeping.
    """
    if folder.is_symlink() or folder.exists():
        raise InvalidInputError('output', folder, 'a folder that does not exist yet')
    try:
        yield
    except DamagedBagError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _detector(args: argparse.Namespace) -> Any:
    if args.detector == 'none':
        return None
    if args.detector.endswith('.onnx'):
        from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
        return OnnxDetector(Path(args.detector))
    from gsc_ros.scene.detector import DEFAULT_SOURCE, load_detector
    return load_detector(DEFAULT_SOURCE if args.detector == 'auto' else args.detector,
                         args.device)
