"""``gsc train``: one command per stage, resumable."""
from __future__ import annotations

import argparse
from pathlib import Path

STAGES = ('autoencoder', 'learned', 'prior', 'detector', 'export')


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        'train', help='train the embedded models, stage by stage',
        description='Stages build on each other in the order given; each resumes where it '
                    'stopped. "export" writes what is trained into the package.')
    parser.add_argument('stage', choices=STAGES)
    parser.add_argument('--data', type=Path, required=True,
                        help='folder with train.tsv and the pictures that it names')
    parser.add_argument('--runs', type=Path, default=Path('runs'),
                        help='folder of checkpoints, logs and curves (default: %(default)s)')
    parser.add_argument('--config', type=Path, help="YAML instead of the stage's own")
    parser.add_argument('--detector', type=Path,
                        help='ONNX detector that labels the pictures (prior) or is distilled '
                             '(detector)')
    parser.add_argument('--steps', type=int, default=4000,
                        help='steps of the detector stage (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Train one stage, or export all."""
    from gsc_ros.training.stages import export, run_stage, Workplace
    if args.stage == 'export':
        for path in export(args.runs):
            print(path)
        return 0
    if args.stage == 'detector':
        from gsc_ros.training.detector import run as train_detector
        train_detector(args.data, args.runs / 'detector', args.steps)
        return 0
    detector = None
    if args.detector is not None:
        from gsc_ros.evaluation.onnx_detector import OnnxDetector
        detector = OnnxDetector(args.detector, confidence=0.3, threads=1)
    args.runs.mkdir(parents=True, exist_ok=True)
    run_stage(args.stage, Workplace(args.data, args.runs, detector), args.config)
    return 0
