"""
What a process's set-up is worth: how threads wait, the allocator, and who loads the networks.

``python bench/processes.py [--rounds 3]``: one-step generation and detection of a 640x480 picture,
a fresh process for every figure, arrangements in turns. Medians in ms; ratios to what nodes do.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
import os
import statistics
import subprocess
import sys
from threading import Thread
import time

NODE = 'as in nodes'
ARRANGEMENTS = {    # how OpenMP's threads wait, allocator, loader
    NODE: ('node', 'kept', 'passing'),
    'memory given back': ('node', 'default', 'passing'),
    'waiting threads sleep': ('PASSIVE', 'kept', 'passing'),
    'waiting threads spin briefly': ('8000', 'kept', 'passing'),
    'the same, loaded by a thread that lives on': ('8000', 'kept', 'main'),
    'waiting threads spin for long': ('ACTIVE', 'kept', 'passing'),
    'none of it': ('default', 'default', 'main'),
}
NETWORKS = ('generate', 'detect')
_PICTURES = 15


def main() -> None:
    """Measure every arrangement and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--child', nargs=4, help='network, waiting, allocator, loader')
    args = parser.parse_args()
    if args.child:
        print(measure(*args.child))
        return
    for network in NETWORKS:
        times: dict[str, list[float]] = {name: [] for name in ARRANGEMENTS}
        for _ in range(args.rounds):
            for name, words in ARRANGEMENTS.items():
                times[name].append(in_process(network, *words))
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, ms in medians.items():
            print(f'{network:9s} {name:44s} {ms:6.0f} ms  {ms / medians[NODE]:.2f}', flush=True)


def in_process(network: str, waiting: str, *words: str) -> float:
    """Measure one arrangement in a process of its own [ms]."""
    env = {name: value for name, value in os.environ.items() if 'OMP_' not in name}
    if waiting not in ('node', 'default'):
        env['GOMP_SPINCOUNT' if waiting.isdigit() else 'OMP_WAIT_POLICY'] = waiting
    answer = subprocess.run([sys.executable, __file__, '--child', network, waiting, *words],
                            check=True, stdout=subprocess.PIPE, text=True, env=env)
    return float(answer.stdout.split()[-1])


def measure(network: str, waiting: str, allocator: str, loader: str) -> float:
    """Load here or in a passing thread, run in another thread; median time of a picture [ms]."""
    from gsc_ros.runtime.tuning import keep_freed_memory, share_cpus
    from gsc_ros.runtime.worker import in_passing
    if waiting == 'node':
        share_cpus()      # before torch is loaded
    if allocator == 'kept':
        keep_freed_memory()
    run: list[Callable[[], object]] = []

    def load() -> None:
        run.append(LOADERS[network]())

    load() if loader == 'main' else in_passing(load)
    times: list[float] = []

    def work() -> None:
        for _ in range(_PICTURES):
            began = time.perf_counter()
            run[0]()
            times.append(1e3 * (time.perf_counter() - began))
    worker = Thread(target=work)
    worker.start()
    worker.join()
    return statistics.median(times[3:])


def generation() -> Callable[[], object]:
    """Load the generator."""
    from codec_speed import picture
    from gsc_ros.prior.generator import load_generator
    generator, photo = load_generator(), picture()
    return lambda: generator.regenerate(photo, bpp=0.02, coder=1, caption='a car',
                                        objects=(), seed=0)


def detection() -> Callable[[], object]:
    """Load the embedded detector."""
    from codec_speed import picture
    from gsc_ros.scene.detector import load_detector
    detector, photo = load_detector('embedded'), picture()
    return lambda: detector.detect(photo)


LOADERS = {'generate': generation, 'detect': detection}


if __name__ == '__main__':
    main()
