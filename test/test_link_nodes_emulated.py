"""Encoder, both ends of the link and decoder as real nodes over emulated links; short runs."""
from __future__ import annotations

from collections.abc import Iterator
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

from gsc_ros.link.radio import Radio  # noqa: E402
from link_rig import (  # noqa: E402
    begin,
    clip_pictures,
    joined,
    moving_pictures,
    Rig,
    until,
    Watch,
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
def running(tmp_path_factory, request) -> Iterator[tuple[Rig, Radio, Watch]]:
    """Run all nodes over a link whose line each test sets."""
    try:
        folder = request.getfixturevalue('data_root') / 'val' / 'clips'
        pictures = clip_pictures(folder / 'car-detection.mp4')
    except pytest.skip.Exception:
        pictures = moving_pictures()
    with joined(tmp_path_factory.mktemp('rig'), DOMAINS, free_port(), [pictures],
                SCENES[1].line, SCENES[1].ceiling, SEED) as parts:
        yield parts


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
    result = outcome(scene, watch.crossings(), link.logs[0], start_ns, end_ns)
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
