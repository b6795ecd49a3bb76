"""``gsc evaluate``: real packets and real files of the peers on still pictures, with a report."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError

if TYPE_CHECKING:
    from gsc_ros.evaluation.candidates import Describe, Producer
    from gsc_ros.evaluation.peers import Distance
    from gsc_ros.evaluation.stills import Detects

OURS = ('gsc', 'gsc-plain', 'gsc-generated')
DEFAULT_CODECS = (*OURS, 'jpeg', 'webp', 'avif')
CODERS = ('auto', 'learned', 'hevc')


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its options."""
    from gsc_ros.evaluation.stills import DEFAULT_RATES
    parser = subparsers.add_parser(
        'evaluate', help='measure rate and quality on pictures, next to JPEG, WebP and AVIF',
        description='Packs, unpacks and decodes real bytes. A rerun continues where it stopped; '
                    'delete REPORT/rows/NAME.csv (or give --again) to measure anew.')
    parser.add_argument('input', nargs='+', type=Path, help='pictures or folders of pictures')
    parser.add_argument('--bpp', default=','.join(f'{r:g}' for r in DEFAULT_RATES),
                        help='bits per pixel, comma separated (default %(default)s)')
    parser.add_argument('--report', type=Path, default=Path('report'), metavar='DIR',
                        help='where rows, summary and plots go (default %(default)s)')
    parser.add_argument('--codecs', default=','.join(DEFAULT_CODECS),
                        help='comma separated (default %(default)s); also: avif-payload, x265, '
                             'x265-payload')
    parser.add_argument('--coder', default='auto',
                        help='coders of our packets, comma separated: auto, learned, hevc')
    parser.add_argument('--text', choices=('on', 'off', 'both'), default='on',
                        help='whether packets carry caption and objects (default %(default)s)')
    parser.add_argument('--detector', type=Path, metavar='FILE',
                        help="ONNX file that judges detections (default: the node's own)")
    parser.add_argument('--no-detection', action='store_true', help='leave detection out')
    parser.add_argument('--sets', default='', help='only these folders, comma separated')
    parser.add_argument('--limit', type=int, metavar='N', help='N pictures of each folder')
    parser.add_argument('--device', default='cpu', help='torch device (default %(default)s)')
    parser.add_argument('--again', action='store_true',
                        help='measure our own packets anew, keep the peers (after a training)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, write the report and print its path; 0 if all is done."""
    from gsc_ros.evaluation.metrics import VggMetric
    from gsc_ros.evaluation.report import write_report
    from gsc_ros.evaluation.stills import find_stills, Judge, measure
    rates = parse_rates(args.bpp)
    if args.limit is not None and args.limit < 1:
        raise InvalidInputError('--limit', args.limit, '1 or more')
    stills = find_stills(args.input, split(args.sets), args.limit)
    distance = VggMetric(args.device)
    detector = None if args.no_detection else _detector(args.detector, args.device)
    producers = _producers(args, distance)
    if args.again:
        for producer in producers:
            if producer.coder:
                (args.report / 'rows' / f'{producer.name}.csv').unlink(missing_ok=True)
    rows = measure(stills, producers, rates, Judge(distance, detector), args.report)
    write_report(rows, args.report)
    print((args.report / 'summary.md').read_text())
    print(f'{len(rows)} rows of {len(stills)} pictures; report in {args.report}')
    return 0


def split(text: str) -> list[str]:
    """Items of a comma-separated list."""
    return [item.strip() for item in text.split(',') if item.strip()]


def parse_rates(text: str) -> list[float]:
    """
    Bits per pixel of ``--bpp``.

    :raises InvalidInputError: if one is not a number in 0.001..8.
    """
    rates = []
    for item in split(text):
        try:
            rates.append(float(item))
        except ValueError as error:
            raise InvalidInputError('--bpp', item, 'numbers, comma separated') from error
        if not 0.001 <= rates[-1] <= 8:
            raise InvalidInputError('--bpp', item, '0.001..8')
    if not rates:
        raise InvalidInputError('--bpp', text, 'at least one number')
    return rates


def _detector(file: Path | None, device: str) -> Detects:
    if file is not None:
        from gsc_ros.evaluation.onnx_detector import OnnxDetector
        return OnnxDetector(file)
    from gsc_ros.models.detector import load_detector
    return load_detector(device=device)


def _producers(args: argparse.Namespace, distance: Distance) -> list[Producer]:
    from gsc_ros.evaluation.candidates import PeerProducer
    from gsc_ros.evaluation.peers import PEERS
    codecs = split(args.codecs)
    unknown = set(codecs) - set(OURS) - set(PEERS)
    if unknown or not codecs:
        raise InvalidInputError('--codecs', sorted(unknown), [*OURS, *PEERS])
    peers: list[Producer] = [PeerProducer(PEERS[c], distance) for c in codecs if c in PEERS]
    ours = [c for c in codecs if c in OURS]
    return [*(_ours(args, ours) if ours else []), *peers]


def _ours(args: argparse.Namespace, wanted: Sequence[str]) -> list[Producer]:
    from gsc_ros.decoder import SemanticDecoder
    from gsc_ros.encoder import SemanticEncoder
    from gsc_ros.evaluation.candidates import GscProducer
    coders = split(args.coder)
    if not coders or set(coders) - set(CODERS):
        raise InvalidInputError('--coder', args.coder, CODERS)
    describe = _describer(args.device) if args.text != 'off' else None
    texts = [describe, None] if args.text == 'both' else [describe]
    decoder = SemanticDecoder(args.device)
    return [GscProducer(SemanticEncoder(coder, args.device), decoder, coder, text, wanted)
            for coder in coders for text in texts]


def _describer(device: str) -> Describe:
    """Caption and objects as the robot's own nodes would send them."""
    from gsc_ros.models.captioner import load_captioner
    from gsc_ros.models.detector import load_detector
    detector, captioner = load_detector(device=device), load_captioner(device=device)

    def describe(picture: Any) -> Any:
        objects = detector.detect(picture)
        return captioner.describe(picture, objects), objects
    return describe
