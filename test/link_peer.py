"""
One end of the link as a process of its own, without ROS: made-up packets in, JSON lines out.

    python link_peer.py robot|base URL SETTINGS_JSON [STREAMS]

The robot's end offers a packet of every stream each PERIOD_S, as large as the allowed rate lets
it; the base station's end prints what arrives and whether each byte is right.
"""
from __future__ import annotations

from collections.abc import Sequence
import json
import os
from pathlib import Path
import random
import sys
import time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gsc_ros.link.io import LinkIo  # noqa: E402
from gsc_ros.link.session.base import BaseEndpoint, Picture  # noqa: E402
from gsc_ros.link.session.robot import RobotEndpoint, StreamFacts  # noqa: E402
from gsc_ros.link.settings import LinkSettings  # noqa: E402
from gsc_ros.link.transports import open_transport  # noqa: E402

PERIOD_S = 0.3
SMALLEST, LARGEST = 100, 1100   # bytes of a packet; by default they fit into one datagram
FILLED = 0.85   # share of the allowed rate that is used


def packet_of(sequence: int, size: int) -> bytes:
    """Bytes that both ends can make."""
    noise = random.Random(sequence % 65536).randbytes(size)
    # where the header of a GSC packet has it, so that the link need not send it twice
    return noise[:10] + (sequence % 65536).to_bytes(2, 'little') + noise[12:]


def settings_of(text: str) -> LinkSettings:
    """Read settings from JSON; the key, if any, as hex."""
    values: dict[str, Any] = json.loads(text)
    key = values.pop('key', None)
    return LinkSettings(**values, key=bytes.fromhex(key) if key else None)


def say(**values: Any) -> None:
    """Print one JSON line."""
    print(json.dumps(values), flush=True)


def on_error(error: Exception) -> None:
    """Report what the thread ran into."""
    say(error=repr(error))


def robot(url: str, settings: LinkSettings, streams: int) -> None:
    """Offer packets until killed."""
    endpoint = RobotEndpoint(settings, boot=int.from_bytes(os.urandom(4), 'little'))
    for stream in range(streams):
        endpoint.describe(stream, StreamFacts(f'camera{stream}/gsc', 'optical', bytes(60)))
    transport = open_transport(url, mtu=settings.mtu)
    link = LinkIo(endpoint, transport, lambda: transport, time.monotonic_ns,
                  lambda events: None, on_error)
    link.start()
    say(ready_ns=time.time_ns())
    sequence = 0
    while True:
        period_s = max(PERIOD_S, streams * (SMALLEST + 50) / (FILLED * endpoint.allowed_rate))
        room = int(FILLED * endpoint.allowed_rate * period_s / streams)
        headers = settings.overhead_bytes * (1 + room // settings.mtu) + 20
        size = min(max(SMALLEST, room - headers), LARGEST)
        for stream in range(streams):
            with link.use() as end:
                end.offer(stream, sequence % 65536, time.time_ns(), packet_of(sequence, size),
                          time.monotonic_ns())
        say(offered=sequence, size=size, allowed=endpoint.allowed_rate)
        sequence += 1
        time.sleep(period_s)


def base(url: str, settings: LinkSettings, streams: int) -> None:
    """Print what arrives until killed."""
    transport = open_transport(url, mtu=settings.mtu)

    def on_events(events: Sequence[Any]) -> None:
        for event in events:
            if isinstance(event, Picture):
                right = event.packet == packet_of(event.sequence, len(event.packet))
                say(stream=str(event.stream_id), sequence=event.sequence, right=right,
                    stamp_ns=event.stamp_ns, arrived_ns=time.time_ns(), size=len(event.packet))

    endpoint = BaseEndpoint(settings, boot=int.from_bytes(os.urandom(4), 'little'))
    link = LinkIo(endpoint, transport, lambda: transport, time.monotonic_ns, on_events, on_error)
    link.start()
    say(ready_ns=time.time_ns())
    while True:
        time.sleep(60.0)


if __name__ == '__main__':
    {'robot': robot, 'base': base}[sys.argv[1]](
        sys.argv[2], settings_of(sys.argv[3]), int((sys.argv[4:] or ['1'])[0]))
