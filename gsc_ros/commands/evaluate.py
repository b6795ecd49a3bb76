"""``gsc evaluate``: what pictures, videos and bags look like over a thin link, with a report."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.commands.files import one_line

if TYPE_CHECKING:
    from gsc_ros.evaluation.engine import EvaluationPlan, Outcome
    from gsc_ros.evaluation.inputs import Input
    from gsc_ros.evaluation.work import WorkSettings

DEFAULT_BPP = (0.005, 0.01, 0.02, 0.04)
DEFAULT_KBPS = (2.0, 8.0, 32.0)


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        'evaluate', help='show what pictures, videos and bags look like over a thin link',
        description='Packs, unpacks and decodes real bytes, ours and those of the codecs in use '
                    'today. Pictures are coded one by one at --bpp; videos and bags as the live '
                    'path would send them at --kbps. A rerun continues where it stopped.')
    parser.add_argument('input', nargs='+', type=Path,
                        help='pictures, videos, rosbag2 bags, or folders of any of them')
    _add_what(parser)
    _add_judges(parser)
    _add_how(parser)
    parser.set_defaults(run=run)


def _add_what(parser: argparse.ArgumentParser) -> None:
    from gsc_ros.evaluation.codec_names import DEFAULT_CODECS, OURS_WRITTEN
    from gsc_ros.evaluation.live import LiveSettings
    from gsc_ros.evaluation.peers.registry import STILLS, VIDEOS
    parser.add_argument('--bpp', metavar='B,...',
                        help='bits per pixel of single pictures (default '
                             f'{_joined(DEFAULT_BPP)}); without --kbps for streams too')
    parser.add_argument('--kbps', metavar='K,...',
                        help='1000 bit/s of streams, link headers included (default '
                             f'{_joined(DEFAULT_KBPS)}); without --bpp folders of pictures are '
                             'played as streams too')
    parser.add_argument('--codecs', default=','.join(DEFAULT_CODECS), metavar='NAME,...',
                        help=f'(default %(default)s) ours: {OURS_WRITTEN}; of pictures: '
                             f'{", ".join(STILLS)}; of streams: {", ".join(VIDEOS)}')
    parser.add_argument('--topics', default='', metavar='TOPIC,...',
                        help='of the bags (default: every camera)')
    parser.add_argument('--sets', default='', metavar='NAME,...',
                        help='only these folders or cameras')
    parser.add_argument('--limit', type=int, metavar='N',
                        help='N pictures of each folder, spread over it')
    parser.add_argument('--seconds', type=float, metavar='S',
                        help='the first S seconds of each stream')
    parser.add_argument('--fps', type=float, default=10.0, metavar='R',
                        help='most pictures per second that codecs get of a stream '
                             '(default %(default)g)')
    parser.add_argument('--picture-rate', type=float, default=1.0, metavar='R',
                        help='most pictures per second taken of a stream that is coded picture '
                             'by picture (default %(default)g)')
    from gsc_ros.evaluation.engine import EvaluationPlan
    live = LiveSettings()
    parser.add_argument('--max-rate', type=float, default=live.max_rate, metavar='R',
                        help='most pictures per second that we send (default %(default)g, as the '
                             'encoder node)')
    parser.add_argument('--max-bytes', type=int, default=live.max_bytes, metavar='N',
                        help='most bytes of a packet in a stream (default %(default)s, as the '
                             'encoder node)')
    parser.add_argument('--rtt', type=float, default=live.rtt_s, metavar='S',
                        help='round trip of the link in seconds, beside the time that packets '
                             'take to leave (default %(default)g)')
    parser.add_argument('--loss', type=float, default=0.0, metavar='PERCENT',
                        help='datagrams of our streams that the link loses (default %(default)g; '
                             'peers lose nothing)')
    parser.add_argument('--burst', type=float, default=0.0, metavar='MS',
                        help='mean length of the bursts that they are lost in (default: each for '
                             'itself)')
    parser.add_argument('--judge-every', type=float, default=EvaluationPlan.judge_s, metavar='S',
                        help='seconds of a stream between two judged instants '
                             '(default %(default)g)')


def _add_judges(parser: argparse.ArgumentParser) -> None:
    from gsc_ros.evaluation.judges.judge import MEASURES
    parser.add_argument('--detector', type=Path, metavar='FILE',
                        help="ONNX file that judges detections (default: the node's own)")
    parser.add_argument('--no-detection', action='store_true', help='leave detection out')
    parser.add_argument('--labels', type=Path, metavar='DIR',
                        help='YOLO label files to judge detections against, too')
    parser.add_argument('--measures', default=','.join(MEASURES), metavar='NAME,...',
                        help='(default %(default)s); what lacks its weights is left out and named')


def _add_how(parser: argparse.ArgumentParser) -> None:
    from gsc_ros.evaluation.executors import ENGINES
    parser.add_argument('--report', type=Path, default=Path('report'), metavar='DIR',
                        help='where rows, tables and pages go (default %(default)s)')
    parser.add_argument('--pictures', type=int, default=200, metavar='N',
                        help='pictures of each set kept for the report (default %(default)s)')
    parser.add_argument('--jobs', type=int, metavar='N',
                        help='processes (default 1; with --engine ray the CPUs of the cluster)')
    parser.add_argument('--engine', choices=ENGINES, default='local',
                        help='where to measure (default %(default)s)')
    parser.add_argument('--device', default='cpu', help='torch device (default %(default)s)')
    parser.add_argument('--again', action='store_true',
                        help='measure our own codecs anew, keep the peers (after a training)')


def run(args: argparse.Namespace) -> int:
    """Measure, write the report and print its table; 0 if all was readable."""
    from gsc_ros.evaluation.engine import evaluate
    from gsc_ros.evaluation.executors import open_executor
    from gsc_ros.evaluation.report.write import write_report
    from gsc_ros.evaluation.rows import ROWS
    from gsc_ros.runtime.processes import sigterm_as_interrupt
    # 1. what there is, and what is to be done with it
    problems: list[str] = []
    inputs, plan = _plan(args, problems)
    settings = _settings(args, plan)
    # 2. rows
    store = _store(args, plan, settings)
    jobs = args.jobs if args.jobs is not None else int(args.engine == 'local')
    with sigterm_as_interrupt():    # or the processes of --jobs would be left behind
        outcome = evaluate(inputs, plan, store, open_executor(args.engine, settings, jobs))
    store.close()
    outcome.problems[:0] = problems
    # 3. tables and pages
    if not store.known and not outcome.measured:
        raise InvalidInputError('input', _joined(args.input), 'something readable: '
                                + '; '.join(outcome.problems))
    write_report(args.report / ROWS, args.report)
    return _say(outcome, args.report)


def _plan(args: argparse.Namespace, problems: list[str]) -> tuple[list[Input], EvaluationPlan]:
    from gsc_ros.evaluation.codec_names import check_codecs
    from gsc_ros.evaluation.engine import EvaluationPlan
    from gsc_ros.evaluation.inputs_find import as_streams, find_inputs
    from gsc_ros.evaluation.live import LiveSettings
    from gsc_ros.media.sources import DEFAULT_FOLDER_RATE
    _check_ranges(args)
    bpp = parse_rates('--bpp', args.bpp, 0.001, 8)
    kbps = parse_rates('--kbps', args.kbps, 0.1, 1e5)
    inputs = find_inputs(args.input, topics=split(args.topics), sets=split(args.sets),
                         limit=args.limit, problems=problems, leave_out=args.report)
    if kbps and not bpp:
        inputs = as_streams(inputs, DEFAULT_FOLDER_RATE)
    if not bpp and not kbps:
        bpp, kbps = DEFAULT_BPP, DEFAULT_KBPS
    codecs = split(args.codecs)
    check_codecs(codecs)
    return inputs, EvaluationPlan(
        codecs=tuple(codecs), bpp=tuple(bpp), kbps=tuple(kbps), limit=args.limit,
        seconds=args.seconds, picture_rate=args.picture_rate, fps=args.fps,
        keep=args.pictures, max_width=LiveSettings().max_width, judge_s=args.judge_every)


def _check_ranges(args: argparse.Namespace) -> None:
    for name, least in (('limit', 1), ('pictures', 0), ('max_bytes', 100), ('rtt', 0),
                        ('loss', 0), ('burst', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InvalidInputError(f'--{name.replace("_", "-")}', value, f'{least} or more')
    for name in ('seconds', 'fps', 'picture_rate', 'max_rate', 'judge_every'):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise InvalidInputError(f'--{name.replace("_", "-")}', value, 'above 0')
    if not args.loss <= 100:
        raise InvalidInputError('--loss', args.loss, '0..100 percent')
    if any(path.resolve() == args.report.resolve() for path in args.input):
        raise InvalidInputError('--report', args.report, 'another folder than the input')
    if args.labels is not None and not args.labels.is_dir():
        raise InvalidInputError('--labels', args.labels, 'a folder of YOLO label files')


def _settings(args: argparse.Namespace, plan: EvaluationPlan) -> WorkSettings:
    from gsc_ros.evaluation.judges.judge import DETECTION, JudgeSettings, why_missing
    from gsc_ros.evaluation.live import LiveSettings
    from gsc_ros.evaluation.work import WorkSettings
    measures = []
    for name in split(args.measures):
        reason = why_missing(name)
        if reason:
            print(f'gsc: left out: {name} ({reason})', file=sys.stderr)
        elif name != DETECTION or not args.no_detection:
            measures.append(name)
    judge = JudgeSettings(tuple(measures), args.detector, args.labels, args.device)
    live = LiveSettings(max_rate=args.max_rate, max_bytes=args.max_bytes, rtt_s=args.rtt,
                        loss=args.loss / 100, burst_s=args.burst / 1000)
    return WorkSettings(plan.codecs, judge, live, args.device)


def _store(args: argparse.Namespace, plan: EvaluationPlan, settings: WorkSettings) -> Any:
    from gsc_ros.evaluation.codec_names import parse_codec
    from gsc_ros.evaluation.engine import model_fingerprint, row_settings
    from gsc_ros.evaluation.rows import forget, RowStore
    ours = [codec for codec in plan.codecs if parse_codec(codec)]
    if args.again:
        forget(args.report, ours)
    mark = model_fingerprint() if ours else ''
    return RowStore(args.report, row_settings(plan, settings),
                    {codec: mark if codec in ours else '' for codec in plan.codecs})


def _say(outcome: Outcome, report: Path) -> int:
    table = report / 'summary.md'
    if table.is_file():
        print(table.read_text())
    print(f'{outcome.measured} items measured; report in {report}')
    for problem in outcome.problems:
        print(f'gsc: error: {one_line(problem)}', file=sys.stderr)
    return 1 if outcome.problems else 0


def split(text: str) -> list[str]:
    """Items of a comma-separated list."""
    return [item.strip() for item in text.split(',') if item.strip()]


def parse_rates(option: str, text: str | None, least: float, most: float) -> Sequence[float]:
    """
    Numbers of an option, none if it was not given.

    :raises InvalidInputError: if one is not a number in least..most.
    """
    if text is None:
        return ()
    rates = []
    for item in split(text):
        try:
            rates.append(float(item))
        except ValueError as error:
            raise InvalidInputError(option, item, 'numbers, comma separated') from error
        if not least <= rates[-1] <= most:
            raise InvalidInputError(option, item, f'{least:g}..{most:g}')
    if not rates:
        raise InvalidInputError(option, repr(text), 'at least one number')
    return tuple(dict.fromkeys(rates))


def _joined(values: Sequence[Any]) -> str:
    return ','.join(f'{v:g}' if isinstance(v, float) else str(v) for v in values)
