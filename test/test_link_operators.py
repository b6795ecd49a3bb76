"""What operators ask for and see: requests leave first and in time, names are the right ones."""
from __future__ import annotations

from gsc_ros.link.session.base import Facts, Restarted
from gsc_ros.link.session.events import Expired
from gsc_ros.link.session.robot import Requested, RobotEndpoint, StreamFacts
from gsc_ros.link.wire.datagrams import Kind, read_head, Request, RequestKind
from link_simulation import (
    BASE_CLOCK_NS,
    channel,
    KEY,
    most_in_a_second,
    MS,
    SECOND,
    settings,
    Simulation,
)
import pytest

both = pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'sealed'])


def requested(sim: Simulation) -> list[tuple[int, Request]]:
    return [(at_ns, event.request) for at_ns, event in sim.robot_events
            if isinstance(event, Requested)]


@both
@pytest.mark.parametrize('ceiling', [128, 160, 250, 300, 500])
@pytest.mark.parametrize('cameras', [1, 8])
def test_requests_leave_whatever_reports_cost(key: bytes | None, ceiling: int, cameras: int
                                              ) -> None:
    """At 250 bytes/s none of nine was obeyed; now each is, within 1.3 s, at any ceiling."""
    base = settings(key=key, bytes_per_second=ceiling, floor=1, report_period_ns=250 * MS)
    sim = Simulation(settings(key=key, bytes_per_second=8000), base, streams=range(cameras))
    sim.run(5, streams=tuple(range(cameras)))
    for number in range(9):
        asked_ns = sim.now_ns
        wanted = sim.request(0, RequestKind.QUALITY, 0.1 * number)
        sim.run(4.3, streams=tuple(range(cameras)))
        at_ns, got = requested(sim)[-1]
        assert got == wanted
        assert at_ns - asked_ns <= 1.3 * SECOND
    assert len(requested(sim)) == 9
    assert most_in_a_second(sim.sent['robot'], 28) <= ceiling
    assert sim.robot_state.connected


@pytest.mark.parametrize('ceiling', [160, 250, 1000])
def test_reports_keep_to_three_quarters_of_the_ceiling(ceiling: int) -> None:
    sim = Simulation(settings(key=KEY), settings(
        key=KEY, bytes_per_second=ceiling, floor=1, report_period_ns=50 * MS))
    sim.run(5)
    sim.sent['robot'].clear()
    sim.run(60)
    used = sum(len(data) + 28 for _, data in sim.sent['robot']) / 60
    assert 0.65 * ceiling <= used <= 0.76 * ceiling


def test_many_requests_leave_room_for_reports() -> None:
    """32 at once, each repeated: reports go on between them, and the robot's rate holds."""
    sim = Simulation(settings(bytes_per_second=4000, adapt=True, floor=100),
                     settings(bytes_per_second=300, floor=1, report_period_ns=250 * MS))
    sim.run(10, period_ns=100 * MS)
    rate = sim.robot_state.rate
    for _ in range(20):
        for stream_id in range(100, 132):
            if len(sim.base._requests) < 32:
                sim.request(stream_id, RequestKind.REFRESH)
        sim.run(1, period_ns=100 * MS)
    kinds = [read_head(data).kind for at_ns, data in sim.sent['robot']
             if at_ns > sim.now_ns - 15 * SECOND]
    assert kinds.count(Kind.REPORT) >= 20
    assert kinds.count(Kind.REQUEST) >= 20
    assert sim.robot_state.rate >= 0.8 * rate


@both
def test_a_request_that_expires_is_told_once(key: bytes | None) -> None:
    """After 15 s without a word of the robot; also while nothing at all arrives."""
    sim = Simulation(settings(key=key), settings(key=key))
    sim.run(5)
    sim.change(channel(loss=1.0))
    wanted = [sim.request(7, RequestKind.PAUSE), sim.request(0, RequestKind.QUALITY, 0.5)]
    sim.run(14.8)
    assert sim.base.take_events() == []
    sim.run(0.4)
    assert sim.base.take_events() == [Expired(request) for request in wanted]
    assert sim.base.take_events() == []
    assert sim.base_state.counters['requests_expired'] == 2
    assert str(Expired(wanted[1])) == (
        'QUALITY(0.5) was not confirmed by the robot and has expired')


@both
@pytest.mark.parametrize('held_s', [14.0, 15.0, 20.0, 40.0, 70.0])
def test_a_held_back_request_is_not_obeyed_after_it_expired(key: bytes | None,
                                                            held_s: float) -> None:
    """Somebody keeps it and lets it through later, with or without all that came between."""
    for everything in (False, True):
        sim = Simulation(settings(key=key), settings(key=key))
        sim.run(5)
        held: list[bytes] = []
        deliver = sim.to_robot

        def hold(data: bytes, held: list[bytes] = held, everything: bool = everything,
                 deliver: object = deliver) -> None:
            if everything or read_head(data).kind is Kind.REQUEST:
                held.append(data)
            else:
                deliver(data)  # type: ignore[operator]

        sim.to_robot = hold  # type: ignore[method-assign]
        sim.request(0, RequestKind.PAUSE)
        sim.run(held_s)
        sim.to_robot = deliver  # type: ignore[method-assign]
        for data in held:
            deliver(data)
        sim.run(0.05)
        assert len(requested(sim)) == (held_s < 15)


@both
def test_a_request_may_take_most_of_its_time(key: bytes | None) -> None:
    """5 s each way are no reason to refuse it."""
    sim = Simulation(settings(key=key), settings(key=key), channel(5.0))
    sim.run(25)
    wanted = sim.request(0, RequestKind.PAUSE)
    sim.run(12)
    assert sim.robot_state.connected
    assert [request for _, request in requested(sim)] == [wanted]


@both
def test_a_restart_gives_up_what_was_asked_of_the_cameras_before(key: bytes | None) -> None:
    """Stream 0 may be another camera now: nobody obeys for it, and who asked is told."""
    sim = Simulation(settings(key=key), settings(key=key))
    sim.run(5)
    sim.lines[1].settings = channel(loss=1.0)
    wanted = sim.request(0, RequestKind.PAUSE)
    sim.start_robot()
    if key:
        sim.lines[1].settings = channel()
        sim.run(0.25)  # the session begins, no request has reached the new run
    sim.run(2)
    sim.change(channel())
    sim.run(5)
    assert requested(sim) == []
    told = [event for _, event in sim.base_events if isinstance(event, Expired | Restarted)]
    assert told[0] == Expired(wanted)
    assert isinstance(told[1], Restarted)


def names(life: int) -> list[str]:
    """Names of the cameras, in another order after the restart."""
    return ['/front/gsc', '/rear/gsc', '/left/gsc'][::1 if life % 2 else -1]


@both
@pytest.mark.parametrize('lost', [0, 1, 2, 3, 10])
def test_no_picture_ever_comes_under_another_cameras_name(key: bytes | None, lost: int) -> None:
    """A robot restarts with its cameras in another order, and its first facts are lost."""
    sim = Simulation(settings(key=key), settings(key=key), streams=())
    shown: list[tuple[bytes, str]] = []
    unnamed = 0
    for life in range(1, 5):
        sim.robot = RobotEndpoint(settings(key=key), boot=0x1000 * life + 9)
        for number, name in enumerate(names(life)):
            sim.robot.describe(number, StreamFacts(name, 'cam', b''))
        missing = lost
        for step in range(1500):
            if step % 50 == 0:
                for number, name in enumerate(names(life)):
                    sim.robot.offer(number, step + 1, sim.now_ns, name.encode(), sim.now_ns)
            for data in sim.robot.poll(sim.now_ns):
                if read_head(data).kind is Kind.INFO and missing:
                    missing -= 1
                    continue
                for event in sim.base.receive(data, sim.now_ns + BASE_CLOCK_NS):
                    if hasattr(event, 'packet'):
                        unnamed += event.facts is None
                        if event.facts:
                            shown.append((event.packet, event.facts.name))
                    elif isinstance(event, Facts):
                        assert event.facts.name == names(life)[event.stream_id]
            for data in sim.base.poll(sim.now_ns + BASE_CLOCK_NS):
                sim.robot.receive(data, sim.now_ns)
            sim.now_ns += 10 * MS
    assert all(packet.decode() == name for packet, name in shown)
    assert len(shown) + unnamed >= 4 * 3 * 29
    assert len(shown) > (200 if lost < 10 else 80)
