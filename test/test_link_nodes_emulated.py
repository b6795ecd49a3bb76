"""Encoder, both ends of the link and decoder as real nodes over emulated links; short runs."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
import itertools
import os
import time

import pytest

pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import LinkStatus  # noqa: F401
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from link_emulator import Forwarder, LoopbackEnds  # noqa: E402
from link_rig import (  # noqa: E402
    begin,
    clip_pictures,
    moving_pictures,
    Rig,
    until,
    Watch,
    watched,
)
from link_scenes import faults, outcome, Scene, scenes  # noqa: E402
from test_link_emulated import free_port  # noqa: E402

# Minutes long.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    'GSC_SLOW' not in os.environ, reason='takes minutes; set GSC_SLOW=1 to run it')]
DOMAINS = (2 + 2 * (os.getpid() % 45), 3 + 2 * (os.getpid() % 45))
SECONDS = 15.0
SCENES = scenes(5.0)
SEED = 7   # as in test_link_emulated.py


@pytest.fixture(scope='module')
def running(tmp_path_factory, request) -> Iterator[tuple[Rig, Forwarder, Watch]]:
    """Run all nodes over a link whose line each test sets."""
    try:
        folder = request.getfixturevalue('data_root') / 'val' / 'clips'
        pictures = clip_pictures(folder / 'car-detection.mp4')
    except pytest.skip.Exception:
        pictures = moving_pictures()
    ports = free_port(), free_port()
    with ExitStack() as stack:
        ends = LoopbackEnds(*ports)
        line = SCENES[1].line
        link = stack.enter_context(Forwarder(ends, line, line, SEED))
        urls = [f'udp://127.0.0.1:{remote}?bind=127.0.0.1:{bind}'
                for remote, bind in zip(ends.ports, ports, strict=True)]
        rig = stack.enter_context(Rig(
            tmp_path_factory.mktemp('rig'), DOMAINS, 1, (urls[0], urls[1]),
            robot={'bytes_per_second': SCENES[1].ceiling}, base={}, encoder={'max_rate': 3.0}))
        watch = stack.enter_context(watched(DOMAINS, [pictures], rate_hz=4.0))
        until(lambda: watch.packets and watch.pictures, 'first picture', rig)
        yield rig, link, watch


@pytest.mark.parametrize('scene', SCENES, ids=lambda scene: scene.name)
def test_scene(running, scene):
    """
    What must hold on a link does; what arrives decodes.

    Ages count from when the encoder has published, and no more pictures are asked for than it
    made: a busy machine is no fault of the link's.
    """
    rig, link, watch = running
    start_ns = begin(scene, rig, link, watch)
    time.sleep(SECONDS)  # the run itself
    end_ns = time.time_ns()
    result = outcome(scene, watch.crossings(), link.up, start_ns, end_ns)
    offered = sorted(a.arrived_ns for a in watch.offered if start_ns < a.arrived_ns < end_ns)
    pause_s = max(b - a for a, b in itertools.pairwise([start_ns, *offered, end_ns])) / 1e9
    # a busy machine stretches times; bench/link_scenarios.py holds the links' own limits
    assert faults(relaxed(scene, len(offered) / SECONDS, pause_s), result, slack=2.0) == []
    decoded = [a for a in watch.pictures if start_ns < a.arrived_ns < end_ns]
    assert len(decoded) >= result.pictures - 3


def relaxed(scene: Scene, offered_hz: float, pause_s: float) -> Scene:
    """Ask for no more than what a loss of 5 % leaves of what the encoder made."""
    rate_hz, stall_s = scene.rate_hz, scene.stall_s
    return replace(scene, rate_hz=rate_hz and min(rate_hz, 0.7 * offered_hz),
                   stall_s=stall_s and stall_s + pause_s)


@pytest.mark.parametrize('name', ['link_robot', 'link_base', 'decoder', 'encoder'])
def test_kill(running, name):
    """After kill -9 and a new start pictures come again."""
    rig, link, watch = running
    link.change(SCENES[2].line, SCENES[2].line)
    rig.processes[name].kill()
    killed_ns = time.time_ns()
    rig.processes[name].start()
    until(lambda: any(a.stamp_ns > killed_ns for a in watch.pictures), 'picture', rig)
