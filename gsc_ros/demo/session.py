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
from gsc_ros.demo.recording import (
    DECODED,
    EVENTS_FILE,
    PICTURES_FILE,
    PICTURES_FOLDER,
    read_lines,
    RECEIVED,
)
from gsc_ros.demo.statistics import statistics
from gsc_ros.media.sources import open_source, TOPIC_PREFIX
from gsc_ros.parameters import topics
from gsc_ros.parameters.player import PLAYER, RECORDER
from gsc_ros.parameters.tables import ENCODER, LINK
from gsc_ros.runtime.processes import loopback_specs, NodeSpec, POLL_S, ProcessGroup
from tqdm import tqdm

STARTUP_S = 180.0   # loading networks on a busy small computer
WATCH_S = 0.5       # between two looks at the recording
DRAIN_S = 6.0       # pictures under way when the camera stops
LIVE_WINDOW_NS = 5 * 10 ** 9
_OURS = (EVENTS_FILE, PICTURES_FILE, PICTURES_FOLDER, 'packets', 'logs', 'index.html', 'demo.mp4',
         'stats.json')


class DemoError(GscError):
    """No picture has arrived, or a node has ended; carries the end of the logs."""


@dataclass(frozen=True)
class DemoOptions:
    """What to run; ``seconds`` are counted from the first picture that is seen."""

    input: str
    output: Path
    kbps: float = 8.0
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
        if self.max_bytes is not None:
            ENCODER['max_bytes'].check(self.max_bytes)
        if not self.live_topic:
            open_source(self.input)
        elif not self.live_topic.removesuffix('/compressed').strip('/'):
            raise InvalidInputError('--input', self.input, 'topic:/camera/image_raw')

    @property
    def live_topic(self) -> str:
        """Topic of a live camera, '' where a file is played."""
        return self.input.removeprefix(TOPIC_PREFIX) if self.input.startswith(TOPIC_PREFIX) else ''


def player_spec(options: DemoOptions) -> list[NodeSpec]:
    """Return the node that plays the input; none for a live camera."""
    if options.live_topic:
        return []
    return [NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params={
        'input': str(Path(options.input).expanduser().resolve()), 'loop': True,
        'rate': float(options.rate)})]


def node_specs(options: DemoOptions) -> list[NodeSpec]:
    """Return recorder, encoder, link, decoder and detector, joined for one camera."""
    camera = options.live_topic or PLAYER['topic'].default
    compressed = camera.endswith('/compressed')
    camera = camera.removesuffix('/compressed')
    stream = topics.stream_topic(camera)
    linked = topics.linked_topic(LINK['prefix'].default, stream)
    decoded = topics.decoded_topics(linked)
    # Large pictures get lost between processes on a busy machine unless they are sent again.
    reliable = {'reliability': 'reliable'}
    seen = {'reliability': 'best_effort'} if options.live_topic else reliable
    encoder: dict[str, Any] = {
        **seen, 'cameras': [camera], 'bytes_per_second': max(20, int(options.kbps * 125)),
        'coder': options.coder, 'transport': 'compressed' if compressed else 'raw'}
    if options.max_bytes is not None:
        encoder |= {'max_bytes': options.max_bytes,
                    'min_bytes': min(options.max_bytes, ENCODER['min_bytes'].default)}
    recorder = NodeSpec('gsc_ros.nodes.recorder_node', 'gsc_recorder', params={
        'camera': camera, 'compressed': compressed, 'folder': str(options.output.resolve()),
        **seen, 'storage': options.storage, 'detections': options.detector != 'none'})
    nodes = loopback_specs(
        kbps=options.kbps, encoder=encoder, link={**reliable, 'streams': [stream]},
        decoder={**reliable, 'streams': [linked], 'generate': options.generate,
                 'steps': options.steps},
        detector={**reliable, 'detector': options.detector, 'images': [
            decoded.picture, decoded.plain, RECORDER['original'].default]},
        with_detector=options.detector != 'none')
    return [recorder, *nodes]


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
        _watch(options, [camera, group], clock)
        camera.stop()
        _drain(options.output, [group], clock)
    return summarise(options)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _watch(options: DemoOptions, groups: Sequence[ProcessGroup], clock: Callable[[], float]
           ) -> None:
    """Wait for the first picture, then for ``seconds``, with a progress bar."""
    folder = options.output
    started = clock()
    first: float | None = None
    with tqdm(total=options.seconds, desc='starting nodes',
              bar_format='{desc} |{bar:20}| {n:.0f}/{total:.0f} s{postfix}') as bar:
        while first is None or clock() - first < options.seconds:
            time.sleep(WATCH_S)
            _check(groups)
            if first is None and read_lines(folder / PICTURES_FILE):
                first = clock()
            if first is None and clock() - started > options.startup_s:
                raise DemoError(f'no picture has arrived in {options.startup_s:g} s\n'
                                + _tails(groups))
            bar.n = min(options.seconds, clock() - first) if first is not None else 0
            _report(bar, read_lines(folder / EVENTS_FILE))


def _report(bar: Any, events: Sequence[dict[str, Any]]) -> None:
    received = [e for e in events if e['event'] == RECEIVED]
    if received:
        last = received[-1]['t_ns']
        recent = [e['bytes'] for e in received if e['t_ns'] > last - LIVE_WINDOW_NS]
        kbps = sum(recent) * 8 / 1e3 / (LIVE_WINDOW_NS / 1e9)
        bar.set_description_str(f'{len(received)} pictures', refresh=False)
        bar.set_postfix_str(f'{kbps:.1f} kbit/s  {received[-1]["caption"]}', refresh=False)
    bar.refresh()


def _drain(folder: Path, groups: Sequence[ProcessGroup], clock: Callable[[], float]) -> None:
    """Let pictures that are under way arrive: until every received one is written."""
    deadline = clock() + DRAIN_S
    while clock() < deadline:
        _check(groups)
        packets = [e for e in read_lines(folder / EVENTS_FILE) if e['event'] != 'diagnostics']
        waiting = {e['stamp_ns'] for e in packets} - {
            line['stamp_ns'] for line in read_lines(folder / PICTURES_FILE)}
        if not packets or max(e['stamp_ns'] for e in packets) not in waiting:
            return
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

    Packets from before the first decoded picture are left out of the figures, because the
    decoder was still loading; ``warmup_packets`` says how many these were.

    :raises DemoError: if no picture was decoded.
    """
    folder = options.output
    pictures = sorted(read_lines(folder / PICTURES_FILE), key=lambda p: p['stamp_ns'])
    if not any(DECODED in picture['files'] for picture in pictures):
        raise DemoError('no picture was received and decoded')
    events = read_lines(folder / EVENTS_FILE)
    begin = pictures[0]['stamp_ns']
    counted = [e for e in events if e.get('stamp_ns', begin) >= begin]
    stats = {'input': options.input, 'kbps_limit': options.kbps, 'seconds': options.seconds,
             'coder': options.coder, 'generate': options.generate,
             'warmup_packets': sum(e['event'] == RECEIVED for e in events)
             - sum(e['event'] == RECEIVED for e in counted),
             **statistics(counted, pictures, LINK['overhead_bytes'].default)}
    (folder / 'stats.json').write_text(json.dumps(stats, indent=1) + '\n')
    name = options.live_topic or Path(options.input).name
    lead = (f'{name} at {stats["width"]}x{stats["height"]}, sent through a link of '
            f'{options.kbps:g} kbit/s with the coder “{options.coder}”.')
    write_page(pictures, stats, folder, lead=lead, kbps=options.kbps, generate=options.generate)
    write_movie(pictures, folder, folder / 'demo.mp4', titles(options.generate))
    return stats
