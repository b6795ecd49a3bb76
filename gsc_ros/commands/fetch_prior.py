"""``gsc fetch-prior``: a stock model from the hub, for use without a network afterwards."""
from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('fetch-prior', help='fetch a stock model for the base station')
    parser.add_argument('id', help='hub id, such as black-forest-labs/FLUX.2-klein-4B; '
                        'docs/PRIORS.md lists what works')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help="folder to put it into (default: the hub's cache)")


def run(args: argparse.Namespace) -> int:
    """Show licence and size, fetch, check, and say how to use it."""
    from gsc_ros.prior.stock.hub import fetch, look_up
    model = look_up(args.id)
    print(f'{model.hub_id} at {model.commit[:12]}: licence {model.licence}, '
          f'{len(model.files)} files, {model.size / 1e9:.1f} GB')
    folder = fetch(model, args.out)
    print(f'{folder}: complete, every hash agrees\nprior: {args.out or args.id}')
    return 0
