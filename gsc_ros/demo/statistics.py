"""Figures of a recorded run, from its lines."""
from __future__ import annotations

from collections.abc import Sequence
import socket
from typing import Any

from gsc_ros.codec.objects import SceneObject
from gsc_ros.demo.reading import PacketTime, Run
from gsc_ros.demo.recording import CAMERA, DECODED, PLAIN, VIEWS
from gsc_ros.evaluation.judges.matching import Agreement, agreement
from gsc_ros.link.transports.udp import IP_AND_UDP_BYTES
from gsc_ros.link.wire.blobs import PICTURE_BYTES
from gsc_ros.link.wire.datagrams import Kind, PART_BYTES, plain_overhead
from gsc_ros.units import SECOND_NS
import numpy as np

# What the link adds to a packet that fits into one datagram, without a key.
LINK_OVERHEAD = (IP_AND_UDP_BYTES[socket.AF_INET] + plain_overhead(Kind.DATA) + PART_BYTES
                 + PICTURE_BYTES)


def busiest_window(events: Sequence[tuple[int, int]], window_ns: int = SECOND_NS) -> int:
    """
    Most bytes in any half-open window (t - window, t].

    :param events: (time in ns, bytes), in order of time.
    """
    best = total = start = 0
    for time_ns, size in events:
        total += size
        while events[start][0] <= time_ns - window_ns:
            total -= events[start][1]
            start += 1
        best = max(best, total)
    return best


def rate(packets: Sequence[PacketTime], overhead: int) -> dict[str, Any]:
    """
    Rates of one side of the link in kbit/s (1000 bit/s), with and without link headers.

    The mean is over the time from the first to the last packet, without the first: a packet
    stands for the time before it.

    :param overhead: bytes that the link adds to each packet.
    """
    sizes = sorted((packet.time_ns, packet.size) for packet in packets)
    span_s = (sizes[-1][0] - sizes[0][0]) / 1e9 if len(sizes) > 1 else 0.0
    payload = sum(size for _, size in sizes)
    later = payload - sizes[0][1] if sizes else 0
    wire = later + overhead * (len(sizes) - 1)
    return {
        'packets': len(sizes), 'bytes': payload, 'span_s': span_s,
        'kbps_mean': later * 8e-3 / span_s if span_s else 0.0,
        'kbps_mean_wire': wire * 8e-3 / span_s if span_s else 0.0,
        'kbps_max_1s': busiest_window(sizes) * 8e-3,
        'kbps_max_1s_wire': busiest_window([(t, s + overhead) for t, s in sizes]) * 8e-3}


def statistics(run: Run) -> dict[str, Any]:
    """
    Everything that ``stats.json`` says of a run; None where nothing was measured.

    Packets from before the first decoded picture are left out, because the decoder was still
    loading; ``warmup_packets`` says how many these were.
    """
    pictures = run.pictures
    begin_ns = pictures[0]['stamp_ns'] if pictures else 0
    sent, received = ([packet for packet in packets if packet.stamp_ns >= begin_ns]
                      for packets in (run.sent, run.received))
    latencies = [p['latency_s'] for p in pictures if p['latency_s'] is not None]
    return {
        'warmup_packets': len(run.received) - len(received),
        'pictures_sent': len(sent), 'pictures_received': len(received),
        'pictures_decoded': sum(DECODED in p['files'] for p in pictures),
        'pictures_predicted': sum(p['predicted'] for p in pictures),
        'width': pictures[-1]['width'] if pictures else None,
        'height': pictures[-1]['height'] if pictures else None,
        'link_overhead_bytes': LINK_OVERHEAD,
        'sent': rate(sent, LINK_OVERHEAD), 'received': rate(received, LINK_OVERHEAD),
        'bytes_per_picture': _spread([p['bytes'] for p in pictures]),
        'bpp': _spread([p['bpp'] for p in pictures]),
        'latency_s': _spread(latencies),
        'coders': {name: sum(p['coder'] == name for p in pictures)
                   for name in sorted({p['coder'] for p in pictures})},
        'captions': sorted({p['caption'] for p in pictures if p['caption']}),
        'detections': _detections(pictures),
        'times_ms': {name: _spread(values) for name, values in run.figures.items()}}


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, p95 = np.percentile(values, (50, 95))
    return {'mean': float(np.mean(values)), 'median': float(median), 'p95': float(p95),
            'min': float(min(values)), 'max': float(max(values))}


def _objects(items: Sequence[dict[str, Any]]) -> list[SceneObject]:
    return [SceneObject(o['class_id'], o['score'], tuple(o['box'])) for o in items]


def _detections(pictures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count per view; say how far what is seen agrees with detections on the camera picture."""
    result: dict[str, Any] = {}
    for view in VIEWS:
        held = [p['detections'][view] for p in pictures if p['detections'][view] is not None]
        result[view] = {'pictures_analysed': len(held), 'objects': sum(map(len, held))}
    for view in (PLAIN, DECODED):
        pairs = [(p['detections'][view], p['detections'][CAMERA]) for p in pictures
                 if p['detections'][view] is not None and p['detections'][CAMERA] is not None]
        scores = [agreement(_objects(found), _objects(wanted)) for found, wanted in pairs]
        total = Agreement(*(sum(getattr(s, name) for s in scores)
                            for name in ('matched', 'found', 'wanted')))
        result[view] |= {'f1': total.f1, 'invented': total.invented, 'lost': total.lost} \
            if total.found + total.wanted else {}
    return result


def table(stats: dict[str, Any]) -> str:
    """Lines for the terminal."""
    sent, received, latency = stats['sent'], stats['received'], stats['latency_s']
    rows = [('pictures sent / received / decoded', f'{stats["pictures_sent"]} / '
             f'{stats["pictures_received"]} / {stats["pictures_decoded"]}'),
            ('size', f'{stats["width"]}x{stats["height"]}'),
            ('bytes received', f'{received["bytes"]}'),
            ('kbit/s, mean', f'{received["kbps_mean"]:.2f} '
             f'({received["kbps_mean_wire"]:.2f} with link headers)'),
            # what leaves the robot: the queue of a link may let more arrive within one second
            ('kbit/s sent, busiest second', f'{sent["kbps_max_1s"]:.2f} '
             f'({sent["kbps_max_1s_wire"]:.2f} with link headers)')]
    for name, key, form in (('bytes per picture', 'bytes_per_picture', '{:.0f}'),
                            ('bits per pixel', 'bpp', '{:.4f}')):
        if stats[key]:
            rows.append((name, form.format(stats[key]['mean'])))
    if latency:
        rows.append(('camera to shown, median / 95 %', f'{latency["median"]:.2f} s / '
                     f'{latency["p95"]:.2f} s'))
    for name, times in stats['times_ms'].items():
        if times:
            rows.append((name.replace('_ms', ' time, median'), f'{times["median"]:.0f} ms'))
    for view, counts in stats['detections'].items():
        text = f'{counts["objects"]} in {counts["pictures_analysed"]} pictures'
        if 'f1' in counts:
            text += f', F1 {counts["f1"]:.2f} against the camera'
        rows.append((f'detections, {view}', text))
    width = max(len(name) for name, _ in rows)
    return '\n'.join(f'  {name:<{width}}  {value}' for name, value in rows)
