"""Runs the nodes of a demonstration as processes, watches them, and sums the recording up."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
import importlib.util
import json
import os
from pathlib import Path
import shutil
import time
from typing import Any

from gsc_ros.codec.errors import GscError, InvalidInputError, MissingDependencyError
from gsc_ros.demo.movie import write_movie
from gsc_ros.demo.page import titles, write_page
from gsc_ros.demo.reading import PICTURES_FOLDER, read_run
from gsc_ros.demo.recording import BAG_FOLDER, DECODED, Progress, PROGRESS_FILE, recorded_topics
from gsc_ros.demo.statistics import statistics
from gsc_ros.link.line_settings import line_settings
from gsc_ros.media.sources import open_source, TOPIC_PREFIX
from gsc_ros.parameters import topics
from gsc_ros.parameters.player import RECORDER
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.processes import POLL_S, ProcessGroup
from gsc_ros.runtime.sides import config_file, free_ports, loopback_specs, RadioSettings, Wiring
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec
from tqdm import tqdm

STARTUP_S = 180.0   # loading networks on a busy small computer
WATCH_S = 0.5       # between two looks at the progress
DRAIN_S = 6.0       # pictures under way when the camera stops
_OURS = (BAG_FOLDER, PICTURES_FOLDER, PROGRESS_FILE, 'logs', 'index.html', 'demo.mp4',
         'stats.json')


class DemoError(GscError):
    """No picture has arrived, or a node has ended; carries the end of the logs."""


@dataclass(frozen=True)
class DemoOptions:
    """What to run; ``seconds`` are counted from the first picture that is seen."""

    input: str
    output: Path
    kbps: float = 8.0
    loss: float = 0.0             # percent of the datagrams, each way
    delay: float = 0.0            # ms each way, beside the time that the bits take
    burst: float = 0.0            # mean ms of a burst of loss; 0: each datagram for itself
    seconds: float = 30.0
    coder: str = 'auto'
    max_bytes: int | None = None
    rate: float = 5.0             # of the camera, pictures per second
    generate: str = 'always'
    steps: int = 0                # 0: as the model wants
    detector: str = 'auto'
    storage: str = 'mcap'
    startup_s: float = STARTUP_S

    def check(self) -> None:
        """Raise InvalidInputError for a value outside its range or an unreadable input."""
        for name, low, high in (('kbps', 0.2, 800_000), ('seconds', 1, 86_400),
                                ('rate', 0.1, 120)):
            if not low <= getattr(self, name) <= high:
                raise InvalidInputError(f'--{name}', getattr(self, name), f'{low}..{high}')
        line_settings(self.kbps, self.loss, self.delay, self.burst)
        if self.max_bytes is not None:
            ENCODER['max_bytes'].check(self.max_bytes)
        if not self.live_topic:
            open_source(self.input)
        else:
            Wiring.of(self.input)

    @property
    def live_topic(self) -> str:
        """Topic of a live camera, '' where a file is played."""
        return self.input.removeprefix(TOPIC_PREFIX) if self.input.startswith(TOPIC_PREFIX) else ''


    @property
    def radio(self) -> RadioSettings:
        """The emulated radio between the two sides."""
        return RadioSettings(self.kbps, self.loss, self.delay, self.burst)

    @property
    def wiring(self) -> Wiring:
        """The topics of the camera."""
        return Wiring.of(self.input)


def player_spec(options: DemoOptions) -> list[NodeSpec]:
    """Return the node that plays the input; none for a live camera."""
    if options.live_topic:
        return []
    return [NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params={
        'input': str(Path(options.input).expanduser().resolve()), 'loop': True,
        'rate': float(options.rate)})]


def node_specs(options: DemoOptions) -> list[ProcessSpec]:
    """Return the recorder, both sides with their ends of the link, and the radio between."""
    params = options.wiring.loopback
    params['encoder'] |= _encoder_params(options)
    params['decoder'] |= {'generate': options.generate, 'steps': options.steps}
    params['detector'] = {'detector': options.detector, 'images': _analysed(options.wiring)}
    return [_recorder_spec(options), *loopback_specs(
        config_file('loopback.yaml'), radio=options.radio, ports=free_ports(),
        with_detector=options.detector != 'none', **params)]


def _camera_qos(options: DemoOptions) -> dict[str, Any]:
    """Large pictures get lost on a busy machine unless they are sent again; a live camera may."""
    return {'reliability': 'best_effort' if options.live_topic else 'reliable'}


def _encoder_params(options: DemoOptions) -> dict[str, Any]:
    params = {**_camera_qos(options), 'coder': options.coder}
    if options.max_bytes is not None:
        params |= {'max_bytes': options.max_bytes,
                   'min_bytes': min(options.max_bytes, ENCODER['min_bytes'].default)}
    return params


def _analysed(wiring: Wiring) -> list[str]:
    """Name what the detector looks at: both decoded views and the camera's."""
    decoded = topics.decoded_topics(wiring.linked)
    return [decoded.picture, decoded.plain, RECORDER['original'].default]


def _recorder_spec(options: DemoOptions) -> NodeSpec:
    return NodeSpec('gsc_ros.nodes.recorder_node', 'gsc_recorder', params={
        'camera': options.wiring.camera,
        'compressed': options.wiring.transport == 'compressed', **_camera_qos(options),
        'folder': str(options.output.resolve()), 'storage': options.storage})


def environment(options: DemoOptions, process_id: int) -> dict[str, str]:
    """Return the variables that the nodes need: their own domain, unless the camera is live."""
    if options.live_topic:
        return {}
    return {'ROS_DOMAIN_ID': str(process_id % 100 + 1),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}


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
        stack.enter_context(camera)
        try:
            _watch(options, [camera, group], clock)
            camera.stop()
            _drain(options.output, [group], clock)
        except KeyboardInterrupt:
            print('\nstopped; writing what was recorded', flush=True)
    return summarise(options)


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
