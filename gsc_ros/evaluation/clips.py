"""Measures segments of streams at a link's rate: what the operator sees, and its bytes."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.codec_names import OurCodec, parse_codec
from gsc_ros.evaluation.coded_pictures import as_table, CodedPicture, PEER, SOURCE
from gsc_ros.evaluation.instruments import add, add_source, Instruments
from gsc_ros.evaluation.judges.flicker import flicker, still_mask
from gsc_ros.evaluation.live import ClipRun, OnScreen, rehearse_clip
from gsc_ros.evaluation.our_codecs import coded_picture
from gsc_ros.evaluation.peers.video_search import RTP_BYTES
from gsc_ros.evaluation.work import Item, Result
from gsc_ros.scene.watcher import Scene
import numpy as np


@dataclass(frozen=True)
class CodedSegment:
    """
    What one codec made of a segment, as far as rows need it.

    Of every judged instant: what is on the screen, since how many pictures, and of its share of
    the segment (from half-way to the last judged instant to half-way to the next, so that shares
    add up) bytes, payload and flicker.
    """

    coded: list[CodedPicture]
    scenes: list[Scene]
    ages: list[int]
    flickers: list[float | None]
    pictures: int          # sent in the whole segment
    wire_bytes: int        # of the whole segment, link headers included
    detail: dict[str, Any]


@dataclass(frozen=True)
class _Segment:
    frames: Sequence[np.ndarray]
    times_ns: Sequence[int]
    still: Sequence[np.ndarray]    # between each frame and the next
    shares: Sequence[range]        # of the frames, one for each judged one
    judged: Sequence[int]
    fps: float


def measure_segment(tools: Instruments, item: Item) -> Result:
    """Code with every codec at every rate, then judge what is on the screen."""
    segment = _read(tools, item)
    # 1. code, and keep only what will be judged
    made: list[tuple[float, CodedSegment]] = []
    for name, target in item.tasks:
        if target is not None and parse_codec(name) is None:
            made.append((target, _peer(tools, name, segment, target)))
    made += _ours(tools, item, segment)
    # 2. judge, instant by instant: what belongs to a source picture is worked out once
    result = Result()
    for place, at in enumerate(segment.judged):
        source, shot = segment.frames[at], item.shots[at]
        if (SOURCE, None) in item.tasks:
            add_source(tools, result, item, shot, source)
        for target, shown in made:
            one = shown.coded[place]
            row = tools.row(item, shot, source, one, shown.scenes[place])
            add(result, item, row | _stream_fields(segment, shown, place, target, row),
                one.picture)
    return result


def _read(tools: Instruments, item: Item) -> _Segment:
    """Decode the pictures, as small as the robot would make them."""
    from gsc_ros.media.images import shrink_to_width
    width = tools.settings.live.max_width
    frames = [shrink_to_width(shot.read(), width) for shot in item.shots]
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1:
        raise InvalidInputError(f'{item.shots[0].where}: picture sizes', sorted(shapes),
                                'one size in a stream; evaluate it with --bpp')
    edges = [0, *((a + b + 1) // 2 for a, b in pairwise(item.judged)), len(frames)]
    first_ns = item.shots[0].time_ns
    return _Segment(frames, [shot.time_ns - first_ns for shot in item.shots],
                    [still_mask(a, b) for a, b in pairwise(frames)],
                    [range(a, b) for a, b in pairwise(edges)], item.judged, item.fps)


def _stream_fields(segment: _Segment, shown: CodedSegment, place: int, target: float, row: Any
                   ) -> dict[str, Any]:
    seconds = len(segment.frames) / segment.fps
    return {'target_kbps': target, 'kbps': shown.wire_bytes * 8 / seconds / 1000,
            'exceeded': max(0, round(shown.wire_bytes - target * 125 * seconds)),
            'fps': shown.pictures / seconds, 'age_s': shown.ages[place] / segment.fps,
            'seconds': len(segment.shares[place]) / segment.fps,
            'metrics': row['metrics'] | {'flicker': shown.flickers[place]},
            'detail': row['detail'] | shown.detail}


def _peer(tools: Instruments, name: str, segment: _Segment, kbps: float) -> CodedSegment:
    from gsc_ros.evaluation.peers import clips as video
    clip = video.code_clip(name, segment.frames, segment.fps, kbps,
                           distance=tools.judge.quick_distance,
                           overhead_bytes=tools.settings.live.overhead_bytes + RTP_BYTES,
                           delay_s=tools.settings.live.rtt_s / 2)
    sent = [i for i, size in enumerate(clip.frame_bytes) if size]
    payload = clip.payload_bytes / max(1, sum(clip.frame_bytes))
    coded = []
    for at, share in zip(segment.judged, segment.shares, strict=True):
        size = sum(clip.frame_bytes[i] for i in share)
        coded.append(CodedPicture(name, clip.decoded[at], size, round(size * payload), PEER,
                                  clip.encode_s / len(sent), clip.decode_s / len(sent)))
    ages = [max(at - clip.shown[at], 0) for at in segment.judged]
    return CodedSegment(
        coded, [Scene()] * len(coded), ages, _flickers(segment, clip.decoded),
        len(sent), clip.total_bytes, as_table(clip.detail))


def _ours(tools: Instruments, item: Item, segment: _Segment
          ) -> Iterator[tuple[float, CodedSegment]]:
    """One stream of packets for the names that differ in decoding only."""
    groups: dict[tuple[float, tuple[str, bool, bool]], list[OurCodec]] = {}
    for name, target in item.tasks:
        codec = parse_codec(name)
        if codec is not None and target is not None:
            groups.setdefault((target, codec.packing), []).append(codec)
    for (target, _), codecs in groups.items():
        run = rehearse_clip(tools.ours, codecs, segment.frames, segment.times_ns, target,
                            tools.settings.live)
        if not all(run.screens.values()):
            raise InvalidInputError('--kbps', f'{target:g}', 'enough for one packet of '
                                    f'{item.shots[0].where}')
        for codec in codecs:
            yield target, _seen(tools, segment, codec, run)


def _seen(tools: Instruments, segment: _Segment, codec: OurCodec, run: ClipRun) -> CodedSegment:
    """Collect what one codec shows at the judged instants, and what it cost."""
    shown = run.screens[codec.name]
    made = {one.sent.outgoing.tag: coded_picture(
                codec, one.decoded, one.sent.encode_s, one.decode_s) for one in shown}
    # 1. on the screen at each frame's time: the newest picture that has crossed by then
    screen = _newest(segment, shown)
    pictures = [made[one.sent.outgoing.tag].picture for one in screen]
    # 2. of each judged instant: that picture, with the bytes of all that were sent in its share
    coded = []
    for at, share in zip(segment.judged, segment.shares, strict=True):
        packets = [sent.outgoing.packet for sent in run.sent if sent.outgoing.tag in share]
        coded.append(replace(
            made[screen[at].sent.outgoing.tag], size=sum(packet.size for packet in packets),
            payload=sum(len(p.latent) + len(p.caption) + len(p.objects) for p in packets)))
    # 3. of the whole segment
    return CodedSegment(
        coded, [screen[at].sent.outgoing.scene for at in segment.judged],
        [max(at - screen[at].sent.outgoing.tag, 0) for at in segment.judged],
        _flickers(segment, pictures), len(shown),
        run.wire_bytes, {})


def _newest(segment: _Segment, shown: Sequence[OnScreen[int]]) -> list[OnScreen[int]]:
    """Return what is shown at each frame's time; before the first picture: that one."""
    times_ns = [one.shown_ns for one in shown]
    return [shown[max(bisect_right(times_ns, time_ns) - 1, 0)] for time_ns in segment.times_ns]


def _flickers(segment: _Segment, screen: Sequence[np.ndarray]) -> list[float | None]:
    """Mean flicker between consecutive instants in each share, grey levels."""
    steps = [flicker(pair, still)
             for pair, still in zip(pairwise(screen), segment.still, strict=True)]
    result: list[float | None] = []
    for share in segment.shares:
        values = [v for v in steps[share.start:share.stop] if v is not None]
        result.append(float(np.mean(values)) if values else None)
    return result
