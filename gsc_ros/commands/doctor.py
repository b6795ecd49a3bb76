"""``gsc doctor``: what this machine can run, and how fast."""
from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
import os
import platform
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gsc_ros.prior.generator import Generator
    from gsc_ros.prior.stock.catalogue import Known

_PACKAGES = ('torch', 'diffusers', 'transformers', 'accelerate', 'bitsandbytes', 'av', 'rclpy',
             'ultralytics', 'onnxruntime')
_WIDTH, _HEIGHT = 640, 480
_RUNS = 3
GIB = 2 ** 30


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser('doctor', help='what this machine can run, and how fast')
    parser.add_argument('--prior', metavar='FOLDER|ID',
                        help='measure this stock model too (it must have been fetched)')
    parser.add_argument('--device', help='torch device to measure on (default: the best one)')
    parser.add_argument('--no-timing', action='store_true', help='do not run any model')


def run(args: argparse.Namespace) -> int:
    """Print versions, devices, what fits, and measured times."""
    from gsc_ros.prior.stock.catalogue import KNOWN, measure_folder
    from gsc_ros.prior.stock.load import find_prior
    print('\n'.join(versions()))
    device, memory = best_device(args.device)
    print(f'\nmeasured on {device}, {memory:.1f} GiB of memory')
    known = list(KNOWN)
    if args.prior:
        known.insert(0, measure_folder(find_prior(args.prior)))
    print('\n'.join(['', *fit_table(known, memory, device)]))
    if not args.no_timing:
        print()
        for name in ('embedded', *([args.prior] if args.prior else [])):
            print(timing(name, device), flush=True)
    return 0


def versions() -> Iterator[str]:
    """Say which Python and packages are here, a line each."""
    yield f'Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} CPUs'
    for name in _PACKAGES:
        if find_spec(name) is None:
            yield f'{name}: not installed'
            continue
        try:
            yield f'{name} {metadata.version(name)}'
        except metadata.PackageNotFoundError:   # of a ROS install
            yield f'{name}: installed'
    yield detector_weights()


def detector_weights() -> str:
    """Say whether the default detector's weights are here, and what fetches them."""
    from gsc_ros.models.pinned import PINNED
    from gsc_ros.models.yolo import cache_folder
    from gsc_ros.scene.detector import DEFAULT_SOURCE
    file = cache_folder() / DEFAULT_SOURCE
    if PINNED[DEFAULT_SOURCE].matches(file):
        return f'detector: {file}, its hash agrees'
    return f'detector: embedded; {file} is not there or another file (gsc fetch-detector)'


def best_device(wanted: str | None = None) -> tuple[str, float]:
    """Name a torch device and its memory in GiB: the wanted, else the first accelerator."""
    import torch
    device = wanted or ('cuda' if torch.cuda.is_available() else 'cpu')
    if torch.device(device).type == 'cuda':
        return device, torch.cuda.get_device_properties(device).total_memory / GIB
    return device, os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB


def fit_table(known: Sequence[Known], memory: float, device: str) -> Iterator[str]:
    """Markdown rows: GiB that each model needs, in bold where this machine has them."""
    from gsc_ros.prior.stock.catalogue import BFLOAT16, FLOAT32
    from gsc_ros.prior.stock.settings import WEIGHTS
    on_cpu = device.startswith('cpu')   # where there is nothing to quantise with or offload from
    full = FLOAT32 if on_cpu else BFLOAT16
    ways = [(weights, offload) for weights in WEIGHTS for offload in (False, True)]
    ways = ways[:1] if on_cpu else ways
    heads = ' | '.join(f'{w}, offloaded' if offload else w for w, offload in ways)
    yield f'| prior, GiB needed (bold: fits) | licence | steps | {heads} |'
    yield '| --- ' * (3 + len(ways)) + '|'
    for model in known:
        needs = [model.need(weights, offload, full) for weights, offload in ways]
        cells = ' | '.join(f'**{n:.1f}**' if n <= memory else f'{n:.1f}' for n in needs)
        yield f'| {model.hub_id} | {model.licence} | {model.steps} | {cells} |'


def timing(prior: str, device: str) -> str:
    """Load a prior and run it on a picture of 640x480; say how long that took."""
    from gsc_ros.prior.generator import load_generator
    begin = time.perf_counter()
    generator = load_generator(prior, device)
    loaded = time.perf_counter() - begin
    steps = generator.prior.running.steps
    return (f'{prior} prior: loaded in {loaded:.1f} s; {_WIDTH}x{_HEIGHT}, {steps} steps: '
            f'{seconds_a_picture(generator):.2f} s a picture, {_RUNS} measured after one more')


def seconds_a_picture(generator: Generator) -> float:
    """Median time of a picture, the first one not counted."""
    import numpy as np
    plain = np.full((_HEIGHT, _WIDTH, 3), 128, np.uint8)
    taken = []
    for seed in range(_RUNS + 1):
        begin = time.perf_counter()
        generator.regenerate(plain, bpp=0.01, coder=2, caption='a street', objects=[], seed=seed)
        taken.append(time.perf_counter() - begin)
    return sorted(taken[1:])[_RUNS // 2]
