"""
Damaged and hostile input to everything that reads: only typed errors may come out.

    python bench/fuzz.py [--minutes N] [--seed S] [--only packets,link,...]

Packets (also behind a right CRC), datagrams to both ends of the link, bags of both storages,
videos, picture files and messages, and values of every node's parameters. Prints, for each, how
many inputs were taken, how many refused with a typed error, and the longest time of one. Any other
exception ends with exit code 1 and the input kept in --keep.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import io
import math
from pathlib import Path
import random
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any
import warnings

from gsc_ros.codec.bitstream import pack, unpack
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.link.session.base import BaseEndpoint
from gsc_ros.link.session.robot import RobotEndpoint
from gsc_ros.link.settings import LinkSettings
from gsc_ros.link.wire.blobs import StreamFacts
from gsc_ros.media.bag_reader import Bag, picture_topics, read_picture_message
from gsc_ros.media.bag_types import image
from gsc_ros.media.encodings import ENCODINGS
from gsc_ros.media.files import decode_picture
from gsc_ros.media.images import picture_from_compressed, picture_from_image
from gsc_ros.media.packet_bag import STORAGE
from gsc_ros.media.videos import frames
from gsc_ros.parameters.tables import TABLES
from gsc_ros.units import SECOND_NS
import numpy as np
from PIL import Image

DEFAULT_S = 3.0    # for each kind
_KEY = bytes(range(32))
_TYPED = (GscError,)
_FORMATS = ('jpeg', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed ', '; ;', '',
            '16UC1; png compressed ', 'mono16; png compressed ')
_ODD: tuple[Any, ...] = (None, '', 'x', '\0', -1, 0, 1, 2**40, -2**70, math.nan, math.inf, 0.5,
                         True, [], [1], ['a', 'a'], [math.nan], {}, b'x', object())


@dataclass
class Count:
    """What came of one kind of input."""

    name: str
    taken: int = 0
    refused: int = 0
    longest_s: float = 0.0
    faults: list[tuple[str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        return (f'{self.name:10} {self.taken + self.refused:8} inputs, {self.taken:8} taken, '
                f'{self.refused:8} refused, {len(self.faults)} faults, longest '
                f'{self.longest_s:.2f} s')


Probe = Callable[[bytes], None]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Flip bits, overwrite, cut, double or insert, once or a few times."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(found)) if found else 0
        size = chance.choice((1, 2, 4, 64))
        match chance.randrange(6):
            case 0 if found:
                found[place] ^= 1 << chance.randrange(8)
            case 1:
                found[place:place + size] = chance.randbytes(size)
            case 2:
                del found[place:]
            case 3:
                found[place:place] = found[place:place + size]
            case 4:
                found[place:place + size] = chance.choice((b'\xff', b'\0')) * size
            case _:
                del found[place:place + size]
    return bytes(found)


def run(name: str, seeds: Sequence[bytes], probe: Probe, seconds: float, chance: random.Random
        ) -> Count:
    """Try the seeds themselves, then mutations of them until the time is over."""
    count, end = Count(name), time.monotonic() + seconds
    waiting = list(seeds)
    while waiting or time.monotonic() < end:
        data = waiting.pop() if waiting else mutated(chance.choice(seeds), chance)
        begin = time.monotonic()
        try:
            probe(data)
        except _TYPED:
            count.refused += 1
        except Exception as error:   # that is what is looked for
            count.faults.append((f'{type(error).__name__}: {error}', data))
        else:
            count.taken += 1
        count.longest_s = max(count.longest_s, time.monotonic() - begin)
    return count


def picture(number: int = 0, height: int = 48, width: int = 64) -> np.ndarray:
    """Give a smooth picture, (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    planes = (np.sin(x / 9 + number), np.cos(y / 7 - number), np.sin((x + y) / 13))
    return np.stack([127 + 90 * plane for plane in planes], -1).astype(np.uint8)


def packets(chance: random.Random, _: Path) -> tuple[list[bytes], Probe]:
    """Packets, half of them with a damaged latent behind a right CRC."""
    encoder, decoder = SemanticEncoder('hevc'), SemanticDecoder()
    seeds = [encoder.encode(picture(i), 300, caption='a red car') for i in range(3)]

    def probe(data: bytes) -> None:
        if chance.random() < 0.5:
            whole = unpack(chance.choice(seeds))
            data = pack(replace(whole, latent=mutated(whole.latent, chance)))
        decoder.decode(data, generate=False)
    return seeds, probe


def link(chance: random.Random, _: Path) -> tuple[list[bytes], Probe]:
    """Datagrams to both ends, with a key and without, in any order and at any time."""
    seeds: list[bytes] = []
    ends: list[Any] = []
    now = [1000 * SECOND_NS]
    for key in (None, _KEY):
        settings = LinkSettings(
            bytes_per_second=4000, floor=200, adapt=False, mtu=400, overhead_bytes=28, fec='off',
            report_period_ns=SECOND_NS // 2, stale_ns=4 * SECOND_NS, key=key)
        robot = RobotEndpoint(settings, boot=7 << 32)
        base = BaseEndpoint(settings, boot=9 << 32, wall_offset_ns=0)
        robot.describe(0, StreamFacts('/camera', 'eye', b''))
        ends += [robot, base]
        for number in range(40):
            now[0] += SECOND_NS // 4
            robot.offer(0, number, now[0], chance.randbytes(200), now[0])
            for sender, receiver in ((robot, base), (base, robot)):
                for datagram in sender.poll(now[0]):
                    seeds.append(datagram)
                    receiver.receive(datagram, now[0])

    def probe(data: bytes) -> None:
        now[0] += chance.choice((0, 10**6, SECOND_NS))
        for end in ends:
            end.receive(data, now[0])
            end.poll(now[0])
    return seeds, probe


def bags(chance: random.Random, folder: Path) -> tuple[list[bytes], Probe]:
    """Storage files of both kinds: every topic and picture in them."""
    from gsc_ros.media.bag_types import IMAGE, message_types
    from rosbags.rosbag2 import Writer
    types = message_types().types
    seeds = []
    for name, plugin in STORAGE.items():
        with Writer(folder / name, version=9, storage_plugin=plugin) as writer:
            connection = writer.add_connection('/eye', IMAGE, typestore=message_types())
            for i in range(4):
                stamp = types['builtin_interfaces/msg/Time'](sec=i, nanosec=0)
                header = types['std_msgs/msg/Header'](stamp=stamp, frame_id='eye')
                writer.write(connection, i, image(header, picture(i)))
        seeds += [p.read_bytes() for p in (folder / name).iterdir() if p.suffix != '.yaml']

    def probe(data: bytes) -> None:
        file = folder / ('x.db3' if data[:6] == b'SQLite' else 'x.mcap')
        file.write_bytes(data)
        with Bag(file) as bag:
            for topic in picture_topics(bag):
                for message in bag.messages([topic]):
                    read_picture_message(message.data, topic.kind)
    return seeds, probe


def videos(chance: random.Random, folder: Path) -> tuple[list[bytes], Probe]:
    """Containers and streams that FFmpeg opens."""
    import av
    seeds = []
    for suffix, codec in (('mkv', 'ffv1'), ('mp4', 'libx264'), ('avi', 'mpeg4'),
                          ('ts', 'libx264')):
        with av.open(str(folder / f'x.{suffix}'), 'w') as container:
            stream: Any = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
            for i in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), 'rgb24')))
            container.mux(stream.encode(None))
        seeds.append((folder / f'x.{suffix}').read_bytes())

    def probe(data: bytes) -> None:
        (folder / 'x').write_bytes(data)
        for frame in frames(folder / 'x'):
            frame.read()
    return seeds, probe


def pictures(chance: random.Random, _: Path) -> tuple[list[bytes], Probe]:
    """Files of every type, and the same bytes as messages of every encoding."""
    seeds = []
    wide = Image.fromarray(picture()[..., 0].astype(np.uint16) * 257)
    for source, form in ((Image.fromarray(picture()), 'JPEG'), (wide, 'PNG'), (wide, 'TIFF'),
                         (Image.fromarray(picture()).quantize(9), 'PNG'),
                         (Image.fromarray(picture()), 'WEBP'),
                         (Image.fromarray(picture()).convert('CMYK'), 'TIFF'),
                         (Image.fromarray(picture()), 'PPM'), (Image.fromarray(picture()), 'BMP')):
        stream = io.BytesIO()
        source.save(stream, form)
        seeds.append(stream.getvalue())

    def probe(data: bytes) -> None:
        shown = chance.choice((_as_file, _as_compressed, _as_image))(data, chance)
        if shown.dtype != np.uint8 or shown.ndim != 3 or shown.shape[2] != 3:
            raise AssertionError(f'{shown.dtype} {shown.shape}')
    return seeds, probe


def _as_file(data: bytes, _: random.Random) -> np.ndarray:
    return decode_picture(data, 'fuzz')


def _as_compressed(data: bytes, chance: random.Random) -> np.ndarray:
    return picture_from_compressed(SimpleNamespace(format=chance.choice(_FORMATS), data=data))


def _as_image(data: bytes, chance: random.Random) -> np.ndarray:
    """Take the bytes for pixels; now and then the numbers beside them fit."""
    height = chance.choice((16, 17, 10**6))
    step = len(data) // height
    return picture_from_image(SimpleNamespace(
        encoding=chance.choice((*ENCODINGS, '32FC1', '')), height=height, step=step,
        width=chance.choice((16, 20, 10**6)), is_bigendian=chance.randrange(2),
        data=data[:step * height] if chance.random() < 0.9 else data))


def parameters(chance: random.Random, _: Path) -> tuple[list[bytes], Probe]:
    """Values of every type to every parameter of every node."""
    def probe(data: bytes) -> None:
        table = chance.choice(list(TABLES.values()))
        values = table.defaults()
        parameter = chance.choice(table.parameters)
        value = chance.choice((*_ODD, data, data.hex(), len(data)))
        values[parameter.name] = parameter.check(value)
        table.check(values)
    return [b'parameters'], probe


KINDS = {'packets': packets, 'link': link, 'bags': bags, 'videos': videos, 'pictures': pictures,
         'parameters': parameters}


def fuzz(names: Sequence[str], seconds: float, seed: int) -> list[Count]:
    """
    Run some kinds, each for so many seconds.

    :raises InvalidInputError: for an unknown kind.
    """
    counts = []
    for name in names:
        if name not in KINDS:
            raise InvalidInputError('--only', name, ', '.join(KINDS))
        chance = random.Random(f'{seed} {name}')
        with tempfile.TemporaryDirectory() as folder:
            seeds, probe = KINDS[name](chance, Path(folder))
            counts.append(run(name, seeds, probe, seconds, chance))
    return counts


def main() -> int:
    """Print a line for each kind; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, help='all kinds together (default: seconds)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', default=','.join(KINDS))
    parser.add_argument('--keep', type=Path, default=Path('fuzz_faults'))
    args = parser.parse_args()
    warnings.simplefilter('ignore')   # of Pillow, by the hundred
    names = args.only.split(',')
    seconds = DEFAULT_S if args.minutes is None else 60 * args.minutes / len(names)
    counts = fuzz(names, seconds, args.seed)
    for count in counts:
        print(count)
        for i, (said, data) in enumerate(count.faults[:20]):
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f'{count.name}_{i}').write_bytes(data)
            print(f'  {said[:200]} ({args.keep / f"{count.name}_{i}"})')
    return int(any(count.faults for count in counts))


if __name__ == '__main__':
    sys.exit(main())
