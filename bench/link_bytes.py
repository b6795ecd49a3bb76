"""
Bytes on the wire per picture: our link, DDS best effort, JPEG over UDP; needs root (Linux).

    python bench/link_bytes.py PICTURES [--count 20] [--packet 400]

The same pictures cross a virtual Ethernet between two network namespaces, by each way in turn;
the interface's own counters say what was on the wire, Ethernet headers taken off. Prints the table
of docs/LINK.md.
"""
from __future__ import annotations

import argparse
from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
import io
import itertools
import json
import os
from pathlib import Path
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]

from gsc_ros.decoder import SemanticDecoder  # noqa: E402
from gsc_ros.encoder import SemanticEncoder  # noqa: E402
from gsc_ros.link.io import LinkIo  # noqa: E402
from gsc_ros.link.session.base import BaseEndpoint, Picture  # noqa: E402
from gsc_ros.link.session.robot import RobotEndpoint, StreamFacts  # noqa: E402
from gsc_ros.link.settings import LinkSettings  # noqa: E402
from gsc_ros.link.transports import open_transport  # noqa: E402
from gsc_ros.media.sources import open_source  # noqa: E402
from link_namespaces import ip, two_namespaces  # noqa: E402

ETHERNET_BYTES = 14
ROBOT, BASE = '10.78.0.1', '10.78.0.2'
PORT = 7400
PERIOD_S = 0.5
IDLE_S = 10.0
START_S = 8.0


@dataclass(frozen=True)
class Cost:
    """What one way of sending costs; bytes of IP packets, both directions where not said."""

    way: str
    payload: float         # bytes of a picture, mean
    per_picture: float     # bytes on the wire for a picture, towards the base station
    back: float            # bytes on the wire for a picture, towards the robot
    start: int             # bytes before the first picture
    idle: float            # bits per second without pictures


class Wire:
    """A virtual Ethernet between two namespaces."""

    def __init__(self, robot: str, base: str) -> None:
        self.names = robot, base
        ip('link', 'add', 'wire0', 'netns', robot, 'type', 'veth', 'peer', 'name', 'wire0',
           'netns', base)
        for name, address in zip(self.names, (ROBOT, BASE), strict=True):
            self._ip(name, 'addr', 'add', f'{address}/24', 'dev', 'wire0')
            self._ip(name, 'link', 'set', 'wire0', 'addrgenmode', 'none')  # no IPv6 chatter
            self._ip(name, 'link', 'set', 'wire0', 'up')
            self._ip(name, 'route', 'add', '224.0.0.0/4', 'dev', 'wire0')

    @staticmethod
    def _ip(name: str, *words: str) -> None:
        ip('-n', name, *words)

    def counters(self) -> np.ndarray:
        """Bytes of IP so far: towards the base station, towards the robot."""
        text = subprocess.run(['ip', '-n', self.names[0], '-s', '-j', 'link', 'show', 'wire0'],
                              check=True, capture_output=True).stdout
        stats = json.loads(text)[0]['stats64']
        return np.array([stats[way]['bytes'] - ETHERNET_BYTES * stats[way]['packets']
                         for way in ('tx', 'rx')])

    def command(self, end: int, *words: str) -> list[str]:
        """Return the command that runs this file at an end."""
        return ['ip', 'netns', 'exec', self.names[end], sys.executable, __file__, *words]


class End:
    """A process at one end; says "ready" when it has started, ends when its input is closed."""

    def __init__(self, wire: Wire, number: int, way: str, packets: Path) -> None:
        # The domain is the wire's own, transports are those of a plain installation.
        env = {**os.environ, 'ROS_DOMAIN_ID': '93', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
        env.pop('FASTDDS_BUILTIN_TRANSPORTS', None)
        self._process = subprocess.Popen(
            wire.command(number, 'end', ('robot', 'base')[number], way, str(packets)), env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> str:
        """Wait for the next line."""
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        """Write a line."""
        assert self._process.stdin
        self._process.stdin.write(word + '\n')
        self._process.stdin.flush()

    def finish(self) -> str:
        """Close the input; the last words."""
        try:
            return self._process.communicate(timeout=60)[0].strip()
        finally:
            self._process.kill()


def measure(wire: Wire, way: str, packets: Sequence[bytes], folder: Path) -> Cost:
    """Send the packets one way; what that costs beside an idle time."""
    file = folder / 'packets.json'
    file.write_text(json.dumps([packet.hex() for packet in packets]))
    before = wire.counters()
    ends = [End(wire, number, way, file) for number in (1, 0)]
    base, robot = ends
    heard = [end.hear() for end in ends]
    assert heard == ['ready', 'ready'], heard
    time.sleep(START_S)
    started = wire.counters()
    time.sleep(IDLE_S)
    idle = wire.counters()
    robot.tell('go')
    robot.hear()
    sent = wire.counters()  # before the robot's end takes its leave
    robot.finish()
    print(f'{way}: {base.finish()} of {len(packets)} arrived', file=sys.stderr)
    idle_rate = (idle - started) / IDLE_S
    busy = (sent - idle - idle_rate * PERIOD_S * len(packets)) / len(packets)
    return Cost(way, float(np.mean([len(p) for p in packets])), busy[0], busy[1],
                int((started - before).sum()), float(idle_rate.sum() * 8))


# Both ends of each way; they run as processes of their own in the namespaces

def plain_udp_end(side: str, packets: Sequence[bytes]) -> Generator[Any, None, None]:
    """Send datagrams of at most 1472 bytes and no header at all."""
    import socket
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if side == 'robot':
        for packet in packets:
            yield
            for at in range(0, len(packet), 1472):
                end.sendto(packet[at:at + 1472], (BASE, PORT))
        yield
    end.bind((BASE, PORT))
    end.settimeout(0.5)
    while True:
        try:
            yield len(end.recv(2048)) < 1472
        except TimeoutError:
            yield 0


def dds_end(side: str, packets: Sequence[bytes]) -> Generator[Any, None, None]:
    """Publish SemanticFrames with rclpy's defaults, best effort."""
    from gsc_msgs.msg import SemanticFrame
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    rclpy.init()
    node = rclpy.create_node(f'{side}_end')
    if side == 'robot':
        publisher = node.create_publisher(SemanticFrame, 'camera/image_raw/gsc',
                                          qos_profile_sensor_data)
        for packet in packets:
            yield
            message = SemanticFrame(data=packet)
            message.header.frame_id = 'camera_optical'
            publisher.publish(message)
        yield  # the node stays: what it says when it leaves belongs to no picture
    got: list[Any] = []
    node.create_subscription(SemanticFrame, 'camera/image_raw/gsc', got.append,
                             qos_profile_sensor_data)
    while True:
        rclpy.spin_once(node, timeout_sec=0.5)
        yield len(got)
        got.clear()


def link_end(side: str, packets: Sequence[bytes], transport: str = 'udp', **changes: Any
             ) -> Generator[Any, None, None]:
    """Send through our link, as the link nodes do."""
    url = {'udprobot': f'udp://{BASE}:{PORT}?bind={ROBOT}:{PORT}',
           'udpbase': f'udp://{ROBOT}:{PORT}?bind={BASE}:{PORT}',
           'zenohrobot': f'zenoh://{BASE}:{PORT}', 'zenohbase': f'zenoh://?listen={BASE}:{PORT}'}
    settings = LinkSettings(**{
        'bytes_per_second': 4000, 'floor': 1000, 'adapt': True, 'mtu': 1200, 'fec': 'off',
        'overhead_bytes': 28, 'report_period_ns': 500_000_000, 'stale_ns': 3_000_000_000,
        **changes})
    line = open_transport(url[transport + side], mtu=settings.mtu)
    got: list[Any] = []
    robot = RobotEndpoint(settings, boot=1)
    end: Any = robot if side == 'robot' else BaseEndpoint(settings, boot=2)
    link = LinkIo(end, line, lambda: line, time.monotonic_ns, got.extend, print)
    if side == 'robot':
        robot.describe(0, StreamFacts('camera/image_raw/gsc', 'camera_optical', bytes(60)))
    link.start()
    for number, packet in enumerate(packets if side == 'robot' else ()):
        yield
        with link.use():
            robot.offer(0, number, time.time_ns(), packet, time.monotonic_ns())
    try:
        while True:
            if side == 'base':
                time.sleep(0.5)
            yield sum(isinstance(event, Picture) for event in got)
            got.clear()
    finally:
        link.stop()  # a zenoh session that stays open keeps the process from ending


JPEG_OVER_UDP = 'JPEG as good by PSNR, over UDP'
ENDS: dict[str, Callable[[str, Sequence[bytes]], Generator[Any, None, None]]] = {
    'our link, UDP': link_end,
    'our link, UDP, with a key': partial(link_end, key=bytes(range(32))),
    'our link, UDP, datagrams of at most 200 bytes': partial(link_end, mtu=200),
    'our link, zenoh over TCP': partial(link_end, transport='zenoh', overhead_bytes=68),
    'DDS best effort': dds_end, JPEG_OVER_UDP: plain_udp_end}


def run_end(side: str, way: str, file: Path) -> None:
    """Robot: send when told to and say so; base station: count; both until the input ends."""
    packets = [bytes.fromhex(text) for text in json.loads(file.read_text())]
    end = ENDS[way](side, packets)
    got = next(end)   # what a node does when it starts, is done
    print('ready', flush=True)
    if side == 'robot':
        sys.stdin.readline()
        for _ in packets:
            next(end)
            time.sleep(PERIOD_S)
        print('sent', flush=True)
        sys.stdin.readline()
    else:
        while not select.select([sys.stdin], [], [], 0)[0]:
            got += next(end)
        print(got, flush=True)
    end.close()


# Pictures

def coded(source: str, count: int, max_bytes: int) -> tuple[list[bytes], list[bytes]]:
    """Return our packets of the first pictures, and JPEGs that are as good."""
    encoder, decoder = SemanticEncoder(), SemanticDecoder()
    packets, jpegs = [], []
    for item in itertools.islice(open_source(source), count):
        picture = item.read()
        packets.append(encoder.encode(picture, max_bytes))
        jpegs.append(jpeg_like(picture, decoder.decode(packets[-1], generate=False).plain))
    return packets, jpegs


def jpeg_like(picture: np.ndarray, plain: np.ndarray) -> bytes:
    """
    Return the smallest JPEG, at one of four scales, that is as good as ours by PSNR.

    ValueError if none is.
    """
    def coded(scale: int, quality: int) -> bytes:
        size = picture.shape[1] // scale, picture.shape[0] // scale
        stream = io.BytesIO()
        Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS).save(
            stream, 'JPEG', quality=quality, optimize=True, progressive=True)
        return stream.getvalue()

    def good(scale: int, quality: int) -> bool:
        shown = Image.open(io.BytesIO(coded(scale, quality)))
        big = shown.resize(picture.shape[1::-1], Image.Resampling.BICUBIC)
        return np.square(np.asarray(big, float) - picture).mean() <= wanted

    wanted = np.square(picture.astype(float) - plain).mean()
    qualities = range(1, 96)
    found = []
    for scale in (1, 2, 4, 8):
        at = bisect_left(qualities, True, key=lambda quality, s=scale: good(s, quality))
        found += [coded(scale, qualities[at])] if at < len(qualities) else []
    return min(found, key=len)


def table(costs: Sequence[Cost], count: int, size: str) -> str:
    """Make the table of docs/LINK.md."""
    lines = [f'{count} pictures of {size}, {1 / PERIOD_S:g} a second. "Start" is what both '
             f'directions carry in the first {START_S:g} s, "idle" a link without pictures.', '',
             '| way | picture, bytes | on the wire, bytes a picture | beside the picture | '
             'other direction, bytes a picture | start, bytes | idle, bit/s |',
             '| --- | --- | --- | --- | --- | --- | --- |']
    for c in costs:
        cells = (c.payload, c.per_picture, c.per_picture - c.payload, max(c.back, 0.0), c.start,
                 c.idle)
        lines.append(' | '.join([f'| {c.way}', *(f'{cell:.0f}' for cell in cells)]) + ' |')
    return '\n'.join(lines)


def main() -> None:
    """Measure each way and print the table."""
    if sys.argv[1:2] == ['end']:
        run_end(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('pictures', help='folder, video or bag')
    parser.add_argument('--count', type=int, default=20)
    parser.add_argument('--packet', type=int, default=400, help='most bytes of our packet')
    parser.add_argument('--only', action='append', choices=list(ENDS), help='leave out the others')
    args = parser.parse_args()
    packets, jpegs = coded(args.pictures, args.count, args.packet)
    costs = []
    for way in args.only or ENDS:
        with two_namespaces() as names, tempfile.TemporaryDirectory() as folder:
            sent = jpegs if way == JPEG_OVER_UDP else packets
            costs.append(measure(Wire(*names), way, sent, Path(folder)))
    height, width = next(iter(open_source(args.pictures))).read().shape[:2]
    print(table(costs, len(packets), f'{width}x{height}'))


if __name__ == '__main__':
    main()
