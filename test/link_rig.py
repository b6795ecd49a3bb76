"""
Robot and base station as real node processes in two ROS domains; only the link joins them.

A camera of this process feeds the robot's domain, listeners watch both.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field, replace
import itertools
import os
from pathlib import Path
import signal
import threading
import time
from typing import Any

from gsc_msgs.msg import SemanticFrame
from gsc_ros.link.line_settings import LineSettings
from gsc_ros.link.radio import Radio, UdpEnds
from gsc_ros.media.sources import open_source
from gsc_ros.nodes.messages import image_from_picture
from gsc_ros.nodes.qos import output_qos
from gsc_ros.runtime.processes import FASTDDS_TRANSPORTS, ProcessGroup
from gsc_ros.runtime.specs import NodeSpec
from link_scenes import Arrival, Scene
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header

# For this process as for the nodes: nothing leaves this machine, pictures fit into DDS's sockets.
os.environ.update(ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
                  FASTDDS_BUILTIN_TRANSPORTS=FASTDDS_TRANSPORTS)
PATIENCE_S = 90.0
SIZE = 320, 240
PREFIX = 'base'


def stream_of(camera: int) -> str:
    """SemanticFrame topic of a camera at the robot, without a leading slash."""
    return f'camera{camera}/image_raw/gsc'


def moving_pictures() -> Iterator[np.ndarray]:
    """Two textures that move against each other, for ever; (240, 320, 3) uint8."""
    chance = np.random.default_rng(1)
    coarse = chance.integers(40, 216, (15, 40, 3), dtype=np.uint8)
    scene = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    for number in itertools.count():
        picture = np.roll(scene, 3 * number, axis=1)[:SIZE[1], :SIZE[0]].copy()
        picture[80:160, (5 * number) % 240:(5 * number) % 240 + 60] = (200, 40, 40)
        yield picture


def clip_pictures(path: Path, step: int = 8) -> Iterator[np.ndarray]:
    """Every ``step``-th picture of a clip, scaled to 320x240, for ever."""
    import cv2
    kept = [cv2.resize(item.read(), SIZE, interpolation=cv2.INTER_AREA)
            for item in itertools.islice(open_source(str(path)), 0, 60 * step, step)]
    return itertools.cycle(kept)


class Camera(threading.Thread):
    """Publishes pictures of some cameras, stamped with the time of sending."""

    def __init__(self, domain: int, pictures: Sequence[Iterator[np.ndarray]], rate_hz: float
                 ) -> None:
        super().__init__(name='camera', daemon=True)
        self._pictures, self._period_s = pictures, 1 / rate_hz
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node('camera', context=self._context)
        self._publishers = [
            self._node.create_publisher(Image, f'/camera{number}/image_raw', output_qos())
            for number in range(len(pictures))]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Publish until closed."""
        while not self._stopping.wait(self._period_s):
            for publisher, pictures in zip(self._publishers, self._pictures, strict=True):
                now_ns = time.time_ns()
                header = Header(frame_id='camera_optical')
                header.stamp.sec, header.stamp.nanosec = divmod(now_ns, 1_000_000_000)
                publisher.publish(image_from_picture(next(pictures), header))

    def close(self) -> None:
        """Stop and leave the graph."""
        self._stopping.set()
        self.join()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


class Listener(threading.Thread):
    """Notes what arrives on topics of a domain; ``heard`` by the names that are given to them."""

    def __init__(self, domain: int, topics: Mapping[str, tuple[Any, Sequence[str]]]) -> None:
        """``topics``: by name the type and, camera by camera, the topics."""
        super().__init__(name='listener', daemon=True)
        self.heard: dict[str, list[Arrival]] = {name: [] for name in topics}
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node(f'listener{domain}', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        for name, (kind, by_camera) in topics.items():
            for camera, topic in enumerate(by_camera):
                self._listen(kind, topic, str(camera), self.heard[name])

    def _listen(self, kind: Any, topic: str, name: str, into: list[Arrival]) -> None:
        def note(message: Any) -> None:
            stamp = message.header.stamp
            into.append(Arrival(name, stamp.sec * 1_000_000_000 + stamp.nanosec, time.time_ns(),
                                len(message.data)))
        self._node.create_subscription(kind, topic, note, output_qos(10))

    def run(self) -> None:
        """Spin until closed."""
        while self._context.ok():
            try:
                self._executor.spin_once(timeout_sec=0.2)
            except rclpy.executors.ExternalShutdownException:
                return

    def close(self) -> None:
        """Leave the graph."""
        rclpy.shutdown(context=self._context)
        self.join()


@dataclass
class Process:
    """One node process that can be killed and started again; each life has its own log."""

    spec: NodeSpec
    folder: Path
    domain: int
    lives: int = 0
    group: ProcessGroup = field(init=False)

    def start(self) -> None:
        """Start the first or the next life."""
        self.lives += 1
        self.group = ProcessGroup([self.spec], log_dir=self.folder / str(self.lives),
                                  env={'ROS_DOMAIN_ID': str(self.domain), 'OMP_NUM_THREADS': '1'})
        self.group.start()

    @property
    def pid(self) -> int:
        """Process id of this life."""
        return self.group._processes[self.spec.name].pid

    def kill(self) -> None:
        """Kill at once, as ``kill -9`` does."""
        os.kill(self.pid, signal.SIGKILL)
        self.group._processes[self.spec.name].wait()

    def resident_mb(self) -> float:
        """Resident memory [MB]."""
        pages = int(Path(f'/proc/{self.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


class Rig:
    """Encoder, both ends of the link, and the decoder; ``processes`` by short names."""

    def __init__(self, folder: Path, domains: tuple[int, int], cameras: int, urls: tuple[str, str],
                 *, robot: dict[str, Any], base: dict[str, Any], encoder: dict[str, Any],
                 decoder: bool = True) -> None:
        streams = [stream_of(camera) for camera in range(cameras)]
        specs = {
            'encoder': self._spec('encoder', {
                'cameras': [stream.removesuffix('/gsc') for stream in streams], 'coder': 'hevc',
                'detector': 'none', 'caption_source': 'none',
                'bytes_per_second': 8000, 'max_bytes': 1100,  # one datagram; the link allows less
                **encoder}),
            'link_robot': self._spec('link_robot', {'streams': streams, 'link': urls[0], **robot}),
            'link_base': self._spec('link_base', {'prefix': PREFIX, 'link': urls[1], **base})}
        if decoder:
            specs['decoder'] = self._spec('decoder', {
                'streams': [f'{PREFIX}/{stream}' for stream in streams], 'generate': 'never'})
        self.processes = {
            name: Process(spec, folder / name, domains[name in ('link_base', 'decoder')])
            for name, spec in specs.items()}

    @staticmethod
    def _spec(kind: str, params: dict[str, Any]) -> NodeSpec:
        return NodeSpec(f'gsc_ros.nodes.{kind}_node', f'gsc_{kind}', params=params)

    def __enter__(self) -> Rig:
        for process in self.processes.values():
            process.start()
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.group.stop()

    def check(self) -> None:
        """Raise AssertionError with the log of a process that has ended by itself."""
        for name, process in self.processes.items():
            ended = [code for code in process.group.poll().values() if code is not None]
            assert not ended, f'{name} ended: {process.group.tail(process.spec.name)}'

    def change(self, name: str, **params: Any) -> None:
        """Start a process again with some parameters changed."""
        process = self.processes[name]
        process.group.stop()
        process.spec.params.update(params)
        process.start()


class Watch:
    """What the listeners have heard: packets before and behind the link, and decoded pictures."""

    def __init__(self, robot: Listener, base: Listener) -> None:
        self.offered = robot.heard['packets']
        self.packets, self.pictures = base.heard['packets'], base.heard['pictures']

    def crossings(self) -> list[Arrival]:
        """Packets behind the link, stamped with when the encoder published them."""
        # the link carries stamps in units of 0.1 ms
        known = {(a.stream, round(a.stamp_ns / 1e5)): a.arrived_ns for a in list(self.offered)}
        return [replace(a, stamp_ns=known[key]) for a in list(self.packets)
                if (key := (a.stream, round(a.stamp_ns / 1e5))) in known]


@contextmanager
def watched(domains: tuple[int, int], pictures: Sequence[Iterator[np.ndarray]], rate_hz: float
            ) -> Iterator[Watch]:
    """Run cameras at the robot and listeners at both sides."""
    cameras = range(len(pictures))
    streams = [f'/{stream_of(camera)}' for camera in cameras]
    with ExitStack() as stack:
        robot = Listener(domains[0], {'packets': (SemanticFrame, streams)})
        base = Listener(domains[1], {
            'packets': (SemanticFrame, [f'/{PREFIX}{stream}' for stream in streams]),
            'pictures': (Image, [f'/{PREFIX}/camera{camera}/plain/image_raw'
                                 for camera in cameras])})
        for listener in (robot, base):
            stack.callback(listener.close)
            listener.start()
        camera = Camera(domains[0], pictures, rate_hz)
        stack.callback(camera.close)
        camera.start()
        yield Watch(robot, base)


def until(done: Any, what: str, rig: Rig, patience_s: float = PATIENCE_S) -> None:
    """Wait until ``done()``; fail after the patience, or when a process ends by itself."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, f'no {what} within {patience_s} s'
        rig.check()
        time.sleep(0.02)


@contextmanager
def joined(folder: Path, domains: tuple[int, int], port: int,
           pictures: list[Iterator[np.ndarray]], line: LineSettings, ceiling: int, seed: int
           ) -> Iterator[tuple[Rig, Radio, Watch]]:
    """Run all processes, a camera for each of ``pictures``, until pictures of all arrive."""
    with ExitStack() as stack:
        base = '127.0.0.1', port
        ends = UdpEnds(('127.0.0.1', 0), base)
        link = stack.enter_context(Radio(ends, line, line, seed, keep_log=True))
        urls = f'udp://127.0.0.1:{ends.port}', 'udp://?bind={}:{}'.format(*base)
        rig = stack.enter_context(Rig(
            folder, domains, len(pictures), urls,
            robot={'bytes_per_second': ceiling}, base={}, encoder={'max_rate': 3.0}))
        watch = stack.enter_context(watched(domains, pictures, rate_hz=4.0))
        until(lambda: len({a.stream for a in watch.pictures}) == len(pictures), 'picture', rig)
        yield rig, link, watch


def begin(scene: Scene, rig: Rig, link: Radio, watch: Watch) -> int:
    """
    Start the robot's end of the link anew; the scene begins when pictures have come again.

    :returns: when it begins, of ``time.time_ns``.
    """
    rig.change('link_robot', bytes_per_second=scene.ceiling)
    link.change(scene.line, scene.line)
    changed_ns = time.time_ns()
    until(lambda: any(a.stamp_ns > changed_ns for a in watch.packets), 'picture', rig)
    link.change(scene.line, scene.line)
    return time.time_ns()
