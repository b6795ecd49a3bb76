"""Runs the nodes of a demonstration as processes, watches them, and sums the recording up."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
import importlib.util
import json
import os
from pathlib import Path
import shutil
import time
from typing import Any

from gsc_ros.codec.errors import GscError, InvalidInputError, MissingDependencyError
from gsc_ros.demo.movie import write_movie
from gsc_ros.demo.options import DemoOptions, environment, node_specs, player_spec
from gsc_ros.demo.page import titles, write_page
from gsc_ros.demo.reading import PICTURES_FOLDER, read_run
from gsc_ros.demo.recording import BAG_FOLDER, DECODED, Progress, PROGRESS_FILE, recorded_topics
from gsc_ros.demo.statistics import statistics
from gsc_ros.parameters.player import RECORDER
from gsc_ros.runtime.processes import POLL_S, ProcessGroup
from tqdm import tqdm

WATCH_S = 0.5       # between two looks at the progress
DRAIN_S = 6.0       # pictures under way when the camera stops
_OURS = (BAG_FOLDER, PICTURES_FOLDER, PROGRESS_FILE, 'logs', 'index.html', 'demo.mp4',
         'stats.json')


class DemoError(GscError):
    """No picture has arrived, or a node has ended; carries the end of the logs."""


def prepare_folder(folder: Path) -> None:
    """
    Make the output folder; what an earlier run left in it is removed, nothing else.

    :raises InvalidInputError: if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder / name for name in _OURS):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError('--output', folder, f'a folder to write to ({error})') from error


def run_demo(options: DemoOptions, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """
    Run everything and write page, film and figures; returns what ``stats.json`` holds.

    Ctrl-C ends the run early, not the writing.

    :raises DemoError: if nothing arrived or a node ended.
    :raises MissingDependencyError: where there is no ROS 2.
    """
    options.check()
    for module, cure in (('rclpy', 'source /opt/ros/<distro>/setup.bash, or ./demo.sh'),
                         ('gsc_msgs.msg', 'colcon build, or ./demo.sh')):
        if not _importable(module):
            raise MissingDependencyError(module, cure)
    prepare_folder(options.output)
    env = environment(options, os.getpid())
    group = ProcessGroup(node_specs(options), log_dir=options.output / 'logs', env=env)
    camera = ProcessGroup(player_spec(options), log_dir=options.output / 'logs', env=env)
    with ExitStack() as stack:
        stack.enter_context(group)
        try:
            _await_active(options, group, clock)
            stack.enter_context(camera)
            _watch(options, [camera, group], clock)
            camera.stop()
            _drain(options.output, [group], clock)
        except KeyboardInterrupt:
            print('\nstopped; writing what was recorded', flush=True)
    return summarise(options)


def _await_active(options: DemoOptions, group: ProcessGroup, clock: Callable[[], float]) -> None:
    """Let every node be there before the camera starts: the recorder must not miss a packet."""
    started = clock()
    while not group.active():
        _check([group])
        if clock() - started > options.startup_s:
            raise DemoError(f'not every node is active after {options.startup_s:g} s\n'
                            + _tails([group]))
        time.sleep(POLL_S)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _watch(options: DemoOptions, groups: Sequence[ProcessGroup], clock: Callable[[], float]
           ) -> None:
    """Wait for the first picture, then for ``seconds``, with a progress bar."""
    started = clock()
    first: float | None = None
    with tqdm(total=options.seconds, desc='starting nodes',
              bar_format='{desc} |{bar:20}| {n:.0f}/{total:.0f} s{postfix}') as bar:
        while first is None or clock() - first < options.seconds:
            time.sleep(WATCH_S)
            _check(groups)
            progress = Progress.read(options.output)
            if first is None and progress.decoded:
                first = clock()
            if first is None and clock() - started > options.startup_s:
                raise DemoError(f'no picture has arrived in {options.startup_s:g} s\n'
                                + _tails(groups))
            bar.n = min(options.seconds, clock() - first) if first is not None else 0
            _report(bar, progress)


def _report(bar: Any, progress: Progress) -> None:
    if progress.received:
        bar.set_description_str(f'{progress.received} pictures', refresh=False)
        bar.set_postfix_str(f'{progress.kbps:.1f} kbit/s  {progress.caption}', refresh=False)
    bar.refresh()


def _drain(folder: Path, groups: Sequence[ProcessGroup], clock: Callable[[], float]) -> None:
    """Let pictures that are under way arrive: until the newest packet has become a picture."""
    deadline = clock() + DRAIN_S
    while clock() < deadline and not Progress.read(folder).up_to_date:
        _check(groups)
        time.sleep(POLL_S)


def _check(groups: Sequence[ProcessGroup]) -> None:
    """Raise DemoError with the end of its log if a node has ended."""
    for group in groups:
        for name, code in group.poll().items():
            if code is not None:
                raise DemoError(f'{name} has ended with {code}; the end of its log:\n'
                                f'{group.tail(name)}')


def _tails(groups: Sequence[ProcessGroup]) -> str:
    parts = [f'--- {spec.name}\n{group.tail(spec.name, 8)}'
             for group in groups for spec in group.specs]
    return '\n'.join(parts)


def summarise(options: DemoOptions) -> dict[str, Any]:
    """
    Write ``stats.json``, ``index.html`` and ``demo.mp4`` from the recording.

    :raises DemoError: if no picture was decoded.
    """
    folder, wiring = options.output, options.wiring
    run = read_run(folder / BAG_FOLDER, recorded_topics(
        wiring.camera, wiring.transport == 'compressed', RECORDER['prefix'].default,
        RECORDER['original'].default), folder)
    if not any(DECODED in picture['files'] for picture in run.pictures):
        raise DemoError('no picture was received and decoded')
    stats = {'input': options.input, 'kbps_limit': options.kbps, 'loss_percent': options.loss,
             'delay_ms': options.delay, 'seconds': options.seconds, 'coder': options.coder,
             'generate': options.generate, **statistics(run)}
    (folder / 'stats.json').write_text(json.dumps(stats, indent=1) + '\n')
    name = options.live_topic or Path(options.input).name
    radio = _radio_words(options)
    lead = (f'{name} at {stats["width"]}x{stats["height"]}, sent over {radio} with the coder '
            f'“{options.coder}”.')
    write_page(run.pictures, stats, folder, lead=lead, radio=radio, generate=options.generate)
    write_movie(run.pictures, folder, folder / 'demo.mp4', titles(options.generate))
    return stats


def _radio_words(options: DemoOptions) -> str:
    bursts = f' in bursts of {options.burst:g} ms' if options.burst else ''
    return ', '.join([f'{options.kbps:g} kbit/s',
                      *([f'{options.delay:g} ms each way'] if options.delay else []),
                      *([f'{options.loss:g} % lost{bursts}'] if options.loss else [])])
