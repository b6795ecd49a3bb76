"""``gsc train``: one command per stage, resumable."""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.outputs import check_apart

STAGES = ('pack', 'autoencoder', 'learned', 'mean', 'prior', 'detector', 'export')
DETECTOR_STEPS = 9500


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        'train', help='train the embedded models, stage by stage',
        description='Stages build on each other in the order given; each resumes where it '
                    'stopped. "pack" (optional) puts the pictures into one small file; "export" '
                    'writes all that is trained into the package. The detector has no '
                    'configuration file; it wants train.tsv and val.tsv.')
    parser.add_argument('stage', choices=STAGES)
    parser.add_argument('--data', type=Path,
                        help='needed by all but export: '
                             'folder with train.tsv and the pictures that it names, a pack of '
                             'them, or any folder of pictures, video or bag')
    parser.add_argument('--runs', type=Path, default=Path('runs'),
                        help='folder of checkpoints, logs and curves (default: %(default)s)')
    parser.add_argument('--config', type=Path, help="YAML instead of the stage's own")
    parser.add_argument('--detector', type=Path,
                        help='ONNX detector that labels the pictures (pack, prior), judges '
                             'them (mean, prior) or is distilled (detector)')
    parser.add_argument('--minutes', type=float, default=math.inf,
                        help='stop after so long, to be resumed by the same command')
    parser.add_argument('--out', type=Path, default=Path('pictures.zip'),
                        help='file that pack writes (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=DETECTOR_STEPS,
                        help='steps of the detector stage (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Pack, train one stage, or export all."""
    from gsc_ros.training.stages import export, run_stage, Workplace
    if args.stage == 'export':
        for path in export(args.runs):
            print(path)
        return 0
    if args.data is None:
        raise InvalidInputError('--data', None, 'pictures, for every stage but export')
    if args.stage == 'detector':
        from gsc_ros.training.detector.stage import run as train_detector
        if args.config is not None:
            raise InvalidInputError('--config', args.config, 'stages other than the detector')
        train_detector(args.data, args.runs / 'detector', args.steps, teacher=args.detector,
                       limit_s=60 * args.minutes)
        return 0
    args.runs.mkdir(parents=True, exist_ok=True)
    if args.stage == 'pack':
        from gsc_ros.training.pack import pack
        check_apart(args.out, [args.data])
        beside = args.out.with_name(f'.{args.out.name}.part')
        try:
            size = pack(args.data, beside, args.runs / 'labels.jsonl', _labeller(args.detector))
            beside.replace(args.out)
        finally:
            beside.unlink(missing_ok=True)
        print(f'{args.out}: {size / 1e6:.1f} MB')
        return 0
    place = Workplace(args.data, args.runs, _labeller(args.detector), args.detector)
    run_stage(args.stage, place, args.config, 60 * args.minutes)
    return 0


def _labeller(file: Path | None) -> Any:
    if file is None:
        return None
    from gsc_ros.evaluation.judges.onnx_detector import OnnxDetector
    return OnnxDetector(file, confidence=0.3, threads=1)
