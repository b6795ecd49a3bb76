"""
Our stream at what an operator sees at each instant, without peers or generation.

    python bench/live.py ../shared/data/val/clips/kitti_drive_10hz.mp4 --kbps 4,8,16 --loss 0,5,15

Five instants a second after the first one; PSNR and MS-SSIM of what is shown then against what
the camera sees then. ``gsc evaluate`` has the same with peers, more judges and a report.
"""
from __future__ import annotations

import argparse
from bisect import bisect_right
from pathlib import Path

from gsc_ros.decoder import SemanticDecoder
from gsc_ros.encoder import SemanticEncoder
from gsc_ros.evaluation.codec_names import parse_codec
from gsc_ros.evaluation.judges.metrics import ms_ssim, psnr
from gsc_ros.evaluation.live import ClipRun, LiveSettings, rehearse_clip
from gsc_ros.evaluation.our_codecs import OurCodecs
from gsc_ros.media.images import shrink_to_width
from gsc_ros.media.sources import open_source, thin
from gsc_ros.units import SECOND_NS
import numpy as np

CODEC = 'gsc-hevc-notext-nofocus-plain'
INSTANT_NS, WARM_UP_NS = SECOND_NS // 5, SECOND_NS


def read(path: Path, width: int, seconds: float) -> tuple[list[np.ndarray], list[int]]:
    """Frames, at most ten a second, and their times."""
    frames, times = [], []
    for item in thin(open_source(str(path)), 10.0):
        if item.time_ns > seconds * SECOND_NS:
            break
        frames.append(shrink_to_width(item.read(), width))
        times.append(item.time_ns)
    return frames, times


def row(run: ClipRun, frames: list[np.ndarray], times: list[int]) -> str:
    """Figures of a run: quality and age of what is shown, what was sent, what coding took."""
    screen = run.screens[CODEC]
    shown_ns, figures = [one.shown_ns for one in screen], []
    for instant_ns in range(WARM_UP_NS, times[-1] + 1, INSTANT_NS):
        place = bisect_right(shown_ns, instant_ns) - 1
        now = bisect_right(times, instant_ns) - 1
        if place >= 0:
            seen = screen[place]
            age_s = (times[now] - times[seen.sent.outgoing.tag]) / SECOND_NS
            figures.append((psnr(seen.decoded.plain, frames[now]),
                            ms_ssim(seen.decoded.plain, frames[now]), age_s))
    quality, structure, age = np.array(figures).T
    kbps = run.wire_bytes * 8e-3 / (times[-1] / SECOND_NS)
    coding = np.median([one.encode_s for one in run.sent]) * 1e3
    return (f'{quality.mean():.2f} | {structure.mean():.3f} | {age.mean():.2f} | '
            f'{np.percentile(age, 95):.2f} | {len(screen) / (times[-1] / SECOND_NS):.1f} | '
            f'{kbps:.1f} | {coding:.0f} |')


def main() -> None:
    """Print a line of a table for each rate and loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('clip', type=Path)
    parser.add_argument('--kbps', default='4,8,16,32,64')
    parser.add_argument('--loss', default='0', help='percent')
    parser.add_argument('--rtt', type=float, default=0.1, help='seconds')
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--seconds', type=float, default=10.0)
    args = parser.parse_args()
    frames, times = read(args.clip, args.width, args.seconds)
    ours = OurCodecs({'hevc': SemanticEncoder('hevc')}, SemanticDecoder(), None)
    codec = parse_codec(CODEC)
    assert codec is not None
    print('| kbit/s | loss | PSNR | MS-SSIM | age, s | p95 | pictures/s | used | encode, ms |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
    for kbps in map(float, args.kbps.split(',')):
        for loss in map(float, args.loss.split(',')):
            live = LiveSettings(rtt_s=args.rtt, loss=loss / 100)
            run = rehearse_clip(ours, [codec], frames, times, kbps, live)
            print(f'| {kbps:g} | {loss:g} % | {row(run, frames, times)}', flush=True)


if __name__ == '__main__':
    main()
