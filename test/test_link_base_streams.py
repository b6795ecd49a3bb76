"""Which topic the base station's node gives a stream, when robots restart and requests expire."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip('rclpy')
try:
    from gsc_msgs.msg import SemanticFrame, StreamRequest
except ImportError:
    pytest.skip('gsc_msgs is not built', allow_module_level=True)

from gsc_ros.link.session.events import Expired, Facts, OtherVersion, Picture, Restarted, TwoRobots
from gsc_ros.link.wire.blobs import StreamFacts
from gsc_ros.link.wire.datagrams import Request, RequestKind
from gsc_ros.nodes.link_base_node import LinkBaseNode

FRONT, REAR = '/front/gsc', '/rear/gsc'


class Asked:
    """Stands in for the link's thread: keeps what is asked for."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    @contextmanager
    def use(self, *, wake: bool = True) -> Iterator[SimpleNamespace]:
        """As LinkIo.use."""
        yield SimpleNamespace(request=lambda request, now_ns: self.requests.append(request))

    def stop(self) -> None:
        """As LinkIo.stop."""


@pytest.fixture
def node(monkeypatch) -> Iterator[LinkBaseNode]:
    """Make a node that is not configured; what it publishes and logs is kept."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init(domain_id=20 + (os.getpid() + 37) % 70)
    made = LinkBaseNode()
    made.io = Asked()
    made.told = []
    monkeypatch.setattr(made, 'report', lambda kind, error: made.told.append((kind, str(error))))
    yield made
    made.close()
    made.destroy_node()
    rclpy.try_shutdown()


def tell(*names: str) -> list[Facts]:
    """Make a robot's facts, in the order of its cameras."""
    return [Facts(number, StreamFacts(name, 'cam', b'')) for number, name in enumerate(names)]


def picture(number: int, packet: bytes, name: str | None) -> Picture:
    facts = StreamFacts(name, 'cam', b'') if name else None
    return Picture(number, 1, 10**9, packet, facts)


def published(node: LinkBaseNode, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Keep what goes out on each stream's topic."""
    shown: list[tuple[str, bytes]] = []
    for stream in node._streams.values():
        def publish(frame: SemanticFrame, topic: str = stream.frames.topic_name) -> None:
            shown.append((topic, bytes(frame.data)))
        stream.frames = SimpleNamespace(publish=publish)
    return shown


def ask(node: LinkBaseNode, name: str) -> None:
    node.on_request(node._streams[name], StreamRequest(kind=StreamRequest.PAUSE))


def test_after_a_restart_topics_follow_the_names(node, monkeypatch):
    """Publishers stay, no picture is shown before its facts have come, requests go right."""
    node.on_events(tell(FRONT, REAR))
    publishers = {name: stream.frames for name, stream in node._streams.items()}
    ask(node, REAR)
    assert node.io.requests == [Request(1, RequestKind.PAUSE)]
    node.on_events([Restarted(7)])
    ask(node, REAR)
    assert len(node.io.requests) == 1
    assert 'request refused' in node.told[-1][0]
    node.on_events([picture(0, b'rear', None), *tell(REAR, FRONT)[:1]])
    ask(node, REAR)
    ask(node, FRONT)  # not told of yet
    node.on_events(tell(REAR, FRONT)[1:])
    ask(node, FRONT)
    assert [request.stream_id for request in node.io.requests] == [1, 0, 1]
    assert {name: stream.frames for name, stream in node._streams.items()} == publishers
    shown = published(node, monkeypatch)
    node.on_events([picture(0, b'new rear', REAR), picture(1, b'new front', FRONT)])
    assert shown == [('/base/rear/gsc', b'new rear'), ('/base/front/gsc', b'new front')]


def test_a_picture_waits_for_the_facts_of_its_run(node, monkeypatch):
    """The one that waited when the robot was restarted is never shown."""
    node.on_events(tell(FRONT, REAR))
    shown = published(node, monkeypatch)
    node.on_events([picture(0, b'of the run before', None), Restarted(7),
                    picture(1, b'early', None)])
    assert shown == []
    node.on_events(tell(REAR, FRONT))
    assert shown == [('/base/front/gsc', b'early')]


def test_restarts_with_ever_other_names_keep_sixteen_streams(node):
    """Those that no run tells of give way."""
    for run in range(12):
        node.on_events([Restarted(run), *tell(FRONT, f'/camera{run}/gsc', f'/x{run}/gsc')])
        assert len(node._streams) <= 16
        assert FRONT in node._streams
    assert not [error for _, error in node.told if 'refused' not in error and 'number' in error]


def test_expired_requests_are_told_and_counted(node):
    """By the stream for which somebody asked, or for all."""
    node.on_events(tell(FRONT, REAR))
    node.on_events([Expired(Request(1, RequestKind.QUALITY, (0.5,)))])
    assert node.told == [(REAR, 'QUALITY(0.5) was not confirmed by the robot and has expired')]
    node.on_events([Expired(Request(None, RequestKind.REFRESH))])
    assert len(node.told) == 3
    counts = {name: stream.counters.get('expired_requests')
              for name, stream in node._streams.items()}
    assert counts == {FRONT: 1, REAR: 2}


@pytest.mark.parametrize('event', [TwoRobots(), OtherVersion(1, 2)])
def test_trouble_with_the_other_end_is_logged(node, event):
    """Each kind says what to do."""
    node._events.put([event])
    node._handle_events()
    assert node.told == [('the other end', str(event))]
