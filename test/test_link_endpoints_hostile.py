"""Both ends against forgery, replay, noise and floods."""
from __future__ import annotations

from gsc_ros.link.session.robot import RobotEndpoint
from gsc_ros.link.wire.datagrams import RequestKind
from link_simulation import channel, KEY, settings, Simulation
import pytest


def test_forged_replayed_and_altered_datagrams_are_counted_and_dropped() -> None:
    sim = Simulation(*[settings(key=KEY)] * 2)
    sim.run(5)
    recorded = [datagram for _, datagram in sim.sent['base']]
    stranger = Simulation(settings(key=bytes(32)), settings(key=bytes(32)))
    stranger.run(5)
    for datagram in recorded:
        sim.inject('base', datagram)
        sim.inject('base', datagram[:-1] + bytes([datagram[-1] ^ 1]))
        sim.inject('base', datagram[:10])
    for _, datagram in stranger.sent['base']:
        sim.inject('base', datagram)
    before = len(sim.pictures)
    sim.run(5)
    assert len(sim.pictures) - before >= 9  # the robot's own pictures, undisturbed
    counters = sim.base_state.counters
    assert counters['replayed'] >= len(recorded) - 3  # the rest is of the word before
    assert counters['auth_failed'] >= len(recorded)
    assert counters['malformed'] >= len(recorded) - 1
    assert sim.robot_state.counters['replayed'] == 0


def test_a_wrong_key_shows_at_the_base_station_and_is_not_answered() -> None:
    sim = Simulation(settings(key=KEY), settings(key=bytes(32)))
    sim.run(10)
    assert sim.pictures == []
    assert not sim.robot_state.connected
    assert sim.base_state.counters['auth_failed'] > 3
    assert sim.sent['robot'] == []
    plain = Simulation(settings(), settings(key=KEY))
    plain.run(10)
    assert plain.pictures == []
    assert plain.base_state.counters['auth_failed'] > 10


def test_any_bytes_at_all_do_no_harm() -> None:
    for key in (None, KEY):
        sim = Simulation(*[settings(key=key)] * 2)
        sim.run(2)
        sample = [datagram for side in ('base', 'robot') for _, datagram in sim.sent[side]]
        for _ in range(5000):
            data = bytearray(sim.chance.choice(sample))
            for _ in range(sim.chance.randint(1, 3)):
                data[sim.chance.randrange(len(data))] = sim.chance.randrange(256)
            data = data[:sim.chance.randint(0, len(data))] or data
            sim.base.receive(bytes(data), sim.now_ns)
            sim.robot.receive(bytes(data), sim.now_ns)
            sim.base.poll(sim.now_ns)
            sim.robot.poll(sim.now_ns)


def footprint(value: object, seen: set[int] | None = None) -> int:
    """Count the objects that an endpoint holds."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return 0
    seen.add(id(value))
    inside = list(vars(value).values()) if hasattr(value, '__dict__') else []
    if isinstance(value, dict):
        inside += [*value, *value.values()]
    elif hasattr(value, '__iter__') and not isinstance(value, str | bytes):
        inside += list(value)
    return 1 + sum(footprint(one, seen) for one in inside)


@pytest.mark.slow
def test_memory_stays_bounded_over_a_hundred_thousand_datagrams() -> None:
    sim = Simulation(*[settings(mtu=64, bytes_per_second=10**7)] * 2,
                     channel(0.1, jitter_s=0.005, loss=0.02, doubled=0.1), streams=range(20))
    sizes, datagrams = [], 0
    while datagrams < 100_000:
        for _ in range(20):
            sim.picture(sim.chance.randrange(20), 3000)
            sim.step()
        sim.request(sim.chance.randrange(256), RequestKind.REFRESH)
        datagrams += sum(map(len, sim.sent.values()))
        if datagrams > 8000 * len(sizes):
            sizes.append(footprint(sim.base) + footprint(sim.robot))
        for kept in (*sim.sent.values(), sim.pictures, sim.robot_events):
            kept.clear()
    assert len(sizes) > 10
    assert max(sizes) < 30_000  # objects, of both ends, with fragments of 20 streams


def test_the_settings_keep_the_key_to_themselves() -> None:
    secret = settings(key=b'very secret key of 32 bytes long')
    assert 'secret' not in repr(secret) + str(secret) + repr(RobotEndpoint(secret, boot=1))
