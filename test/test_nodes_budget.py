"""Tests of gsc_ros.budget.byte_budget."""
from __future__ import annotations

from dataclasses import replace

from gsc_ros.budget.byte_budget import BUCKET_PACKETS, BudgetSettings, ByteBudget, Plan, plan
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.units import SECOND_NS
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

limits = st.builds(
    lambda speed, rate, low, more, overhead, fragment: BudgetSettings(
        speed, rate, low, low + more, overhead, fragment),
    st.integers(20, 20_000), st.floats(0.1, 30), st.integers(100, 400), st.integers(0, 3000),
    st.integers(0, 60), st.none() | st.integers(20, 1500))


def drive(budget: ByteBudget, cameras: list[str], steps: list[tuple[int, float]]
          ) -> list[tuple[int, str, int, int]]:
    """
    Offer pictures after each gap [ms]; the encoder takes a part of what it is granted.

    Returns time [ns], camera, payload and bytes on the wire of everything sent.
    """
    now_ns, sent = 0, []
    for index, (gap_ms, part) in enumerate(steps):
        now_ns += gap_ms * 1_000_000
        camera = cameras[index % len(cameras)]
        granted = budget.grant(camera, now_ns)
        if granted:
            payload = max(1, int(granted * part))
            now_ns += 3_000_000  # encoding takes time
            budget.spend(camera, payload, now_ns)
            sent.append((now_ns, camera, payload, budget.settings.wire(payload)))
    return sent


def per_second(sent: list[tuple[int, str, int, int]], camera: str) -> tuple[float, float]:
    """Pictures and bytes on the wire per second of one camera."""
    seconds = sent[-1][0] / 1e9
    sizes = [wire for _, name, _, wire in sent if name == camera]
    return len(sizes) / seconds, sum(sizes) / seconds


@settings(max_examples=40, deadline=None)
@given(limits, st.integers(1, 4),
       st.lists(st.tuples(st.integers(0, 700), st.floats(0.1, 1.0)), max_size=120))
def test_no_second_exceeds_the_ceiling(limit, cameras, steps):
    """In every window of one second, wherever it starts, all packets together keep the limit."""
    names = [f'camera{index}' for index in range(cameras)]
    sent = drive(ByteBudget(dict.fromkeys(names, 1.0), limit), names, steps)
    for start_ns, *_ in sent:
        window = sum(wire for time_ns, _, _, wire in sent
                     if start_ns <= time_ns < start_ns + SECOND_NS)
        assert window <= limit.ceiling
    assert all(payload <= limit.max_bytes for _, _, payload, _ in sent)


@settings(max_examples=30, deadline=None)
@given(limits, st.lists(st.integers(1, 700), max_size=120))
def test_long_run_stays_within_rate_and_bytes(limit, gaps):
    """Over all the time: bytes_per_second and max_rate hold, but for a first burst."""
    sent = drive(ByteBudget({'a': 1.0}, limit), ['a'], [(gap, 1.0) for gap in gaps])
    if sent:
        seconds = sent[-1][0] / 1e9
        burst = BUCKET_PACKETS * limit.wire(plan(limit).payload)
        assert sum(wire for *_, wire in sent) <= limit.bytes_per_second * seconds + burst
        assert len(sent) <= limit.max_rate * seconds + 2


@settings(max_examples=40, deadline=None)
@given(limits, st.lists(st.tuples(st.integers(0, 700), st.floats(0.1, 1.0)), max_size=40))
def test_a_picture_that_waits_is_sent(limit, steps):
    """After wait_ns has been waited out a few times a grant comes: the worker never starves."""
    budget = ByteBudget({'a': 1.0}, limit)
    sent = drive(budget, ['a'], steps)
    now_ns = sum(gap for gap, _ in steps) * 1_000_000 + 3_000_000 * len(sent)
    for _ in range(12):
        if budget.grant('a', now_ns):
            return
        now_ns += max(1_000_000, budget.wait_ns('a', now_ns))
    raise AssertionError('no grant')


@given(limits)
def test_plan_lies_within_the_limits(limit):
    """The plan fits the link and its own bounds."""
    planned = plan(limit)
    assert limit.min_bytes <= planned.payload <= max(limit.min_bytes, limit.max_bytes)
    assert 0 < planned.rate <= limit.max_rate
    wire = limit.wire(planned.payload)
    assert planned.rate * wire <= limit.bytes_per_second * (1 + 1e-9)
    assert wire <= limit.ceiling
    in_time = limit.latency_s * limit.bytes_per_second
    assert wire <= in_time or planned.payload == limit.smallest


@given(limits, st.integers(0, 5000))
def test_payload_and_wire_fit_together(limit, wire):
    """The largest payload for some bytes on the wire fits, and one byte more does not."""
    payload = limit.payload(wire)
    assert payload == 0 or limit.wire(payload) <= wire
    assert limit.wire(payload + 1) > wire


def test_fragments_cost_their_headers():
    """400 bytes in datagrams of 100: four headers, five for one byte more."""
    limit = BudgetSettings(1000, 2.0, 150, 1500, 38, 100, latency_s=0.5)
    assert (limit.wire(400), limit.wire(401)) == (400 + 4 * 38, 401 + 5 * 38)
    assert limit.payload(limit.wire(400)) == 400
    assert plan(limit).payload == limit.payload(500) < 472


def test_plan_of_two_a_second():
    """8 kbit/s carry two pictures of 472 bytes a second; a thinner link fewer, not smaller."""
    assert plan(BudgetSettings(1000, 2.0, 150, 1500, 28, latency_s=0.5)).payload == 472
    thin = plan(BudgetSettings(125, 2.0, 150, 1500, 28))
    assert thin.payload == 150
    assert thin.rate == pytest.approx(125 / 178)


@pytest.mark.parametrize(('speed', 'offered', 'payload', 'rate'), [
    (1000, 30.0, 72, 10.0), (1000, 5.0, 172, 5.0), (1000, 1.0, 172, 1.0), (8000, 30.0, 772, 10.0),
    (250, 30.0, 97, 2.0)])
def test_plan_of_the_defaults(speed, offered, payload, rate):
    """At most ten pictures a second, no more than the camera gives, each within 0.2 s of link."""
    names = ('max_rate', 'min_bytes', 'max_bytes', 'overhead_bytes')
    limit = BudgetSettings(speed, *(ENCODER[name].default for name in names))
    assert plan(limit, offered=offered) == Plan(payload, pytest.approx(rate))


def test_a_still_scene_may_take_the_link_for_longer():
    """8 kbit/s: two pictures a second of 472 bytes; no less than the settings say."""
    limit = BudgetSettings(1000, 10.0, 60, 65535, 28)
    assert plan(limit, offered=2.0, latency_s=0.5).payload == 472
    assert plan(limit, offered=2.0, latency_s=0.1) == plan(limit, offered=2.0)


def test_steady_camera_reaches_its_rate():
    """A camera at 30 pictures a second gets the two a second that were planned."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    sent = drive(budget, ['a'], [(30, 1.0)] * 700)
    seconds = sent[-1][0] / 1e9
    assert len(sent) / seconds == pytest.approx(2.0, rel=0.05)


def test_cameras_share_by_weight_and_idle_ones_leave_their_share():
    """Weights 3:1 show in the bytes; a camera alone gets everything."""
    limit = BudgetSettings(4000, 50.0, 100, 400, 0)
    sent = drive(ByteBudget({'a': 3.0, 'b': 1.0}, limit), ['a', 'b'], [(10, 1.0)] * 3000)
    by_camera = {name: sum(wire for _, camera, _, wire in sent if camera == name)
                 for name in 'ab'}
    assert by_camera['a'] / by_camera['b'] == pytest.approx(3.0, rel=0.15)
    alone = drive(ByteBudget({'a': 3.0, 'b': 1.0}, limit), ['a'], [(10, 1.0)] * 1500)
    assert sum(wire for *_, wire in alone) / (alone[-1][0] / 1e9) == pytest.approx(4000, rel=0.1)


@pytest.fixture
def two_cameras() -> ByteBudget:
    """
    Give a second with room for two packets of 400 bytes: one of a at 0 s, one of b at 0.1 s.

    What was sent leaves the window after 1.01 s: a second and a guard of 10 ms.
    """
    budget = ByteBudget({'a': 1.0, 'b': 1.0}, BudgetSettings(1000, 50.0, 400, 400))
    for camera, now_ns in (('a', 0), ('b', SECOND_NS // 10)):
        assert budget.grant(camera, now_ns) == 400
        budget.spend(camera, 400, now_ns)
    return budget


def test_a_camera_that_waits_keeps_its_claim(two_cameras):
    """Room for one packet goes to a, which asked in vain and has saved more than b."""
    assert two_cameras.grant('a', 900_000_000) == 0
    assert two_cameras.wait_ns('b', 900_000_000) == 210_000_000     # when there is room for both
    assert two_cameras.grant('b', 1_010_000_000) == 0
    assert two_cameras.grant('a', 1_010_000_000) == 400
    two_cameras.spend('a', 400, 1_010_000_000)
    assert two_cameras.grant('b', 1_110_000_000) == 400


def test_a_camera_that_has_not_asked_claims_nothing(two_cameras):
    """It would come first as it has saved more, but has no picture."""
    assert two_cameras.grant('b', 1_010_000_000) == 400


def test_a_camera_that_cannot_pay_yet_claims_nothing(two_cameras):
    """It waits, and has saved 396 of 400 bytes: b waits for its own packet's room alone."""
    assert two_cameras.grant('a', 700_000_000) == 0
    assert two_cameras.wait_ns('b', 700_000_000) == 310_000_000


@pytest.mark.parametrize('sent', [True, False])
def test_a_camera_that_was_served_claims_nothing(two_cameras, sent):
    """What it has saved is no claim until it asks again."""
    assert two_cameras.grant('a', 1_010_000_000) == 400
    if sent:
        two_cameras.spend('a', 1, 1_010_000_000)
    else:
        two_cameras.cancel('a', 1_010_000_000)
    assert two_cameras.grant('b', 1_050_000_000) == 400


def test_failed_pictures_do_not_spin():
    """A cancelled grant waits for the next period like a sent picture."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    assert budget.grant('a', 0)
    budget.cancel('a', 0)
    assert not budget.grant('a', 10_000_000)
    assert budget.grant('a', SECOND_NS)


@pytest.mark.parametrize('cameras', [1, 2])
def test_16_kbit_carry_a_picture_a_second_in_time(cameras):
    """At 16 kbit/s each camera sends one a second or more, and each leaves in half a second."""
    names = ['a', 'b'][:cameras]
    limit = BudgetSettings(2000, 2.0, 150, 1500, 38, 400, latency_s=0.5)
    sent = drive(ByteBudget(dict.fromkeys(names, 1.0), limit), names, [(30, 1.0)] * 2000)
    assert all(per_second(sent, name)[0] >= 1.9 for name in names)
    assert max(wire for *_, wire in sent) <= 0.5 * 2000
    assert sum(wire for *_, wire in sent) / (sent[-1][0] / 1e9) >= 0.95 * 2000


def test_2400_bit_carry_pictures_as_large_as_fit():
    """At 2.4 kbit/s a second holds one picture: it fills the second, and one comes in each."""
    limit = BudgetSettings(300, 2.0, 150, 1500, 38)
    assert plan(limit).payload == 262
    sent = drive(ByteBudget({'a': 1.0}, limit), ['a'], [(30, 1.0)] * 2000)
    rate, speed = per_second(sent, 'a')
    assert rate >= 0.95
    assert speed >= 0.95 * 300


@pytest.mark.parametrize('speed', [300, 500, 2000, 8000])
@pytest.mark.parametrize('part', [1.0, 0.8])
def test_no_camera_starves(speed, part):
    """Whoever asks first: a camera of a quarter of the weight gets about a third as much."""
    limit = BudgetSettings(speed, 4.0, 150, 1500, 38, latency_s=0.5)
    sent = drive(ByteBudget({'a': 3.0, 'b': 1.0}, limit), ['a', 'b'], [(15, part)] * 6000)
    (_, large), (rate, small) = per_second(sent, 'a'), per_second(sent, 'b')
    assert 2.0 <= large / small <= 3.7
    assert rate > 0.2


def test_the_camera_that_changes_gets_more():
    """A static camera keeps an eighth of the link (half of a quarter), the moving one the rest."""
    limit = BudgetSettings(4000, 50.0, 100, 400, 0)
    budget, spent, now_ns = ByteBudget({'a': 1.0, 'b': 1.0}, limit), {'a': 0, 'b': 0}, 0
    for _ in range(6000):
        now_ns += 10_000_000
        for camera, activity in (('b', 0.0), ('a', 0.7)):
            budget.offer(camera, now_ns, activity)
            if granted := budget.grant(camera, now_ns):
                budget.spend(camera, granted, now_ns)
                spent[camera] += granted
    assert spent['b'] / sum(spent.values()) == pytest.approx(0.125, rel=0.2)


def test_shares_drift_and_do_not_swing():
    """Activity that flips with every picture moves the shares by little."""
    limit = BudgetSettings(4000, 2.0, 100, 4000, 0, latency_s=0.5)
    budget, planned = ByteBudget({'a': 1.0, 'b': 1.0}, limit), []
    for step in range(200):
        now_ns = step * SECOND_NS // 10
        budget.offer('a', now_ns, float(step % 2))
        budget.offer('b', now_ns, 0.5)
        planned.append(budget.plan('a', now_ns).payload)
    steady = planned[100:]
    assert max(steady) - min(steady) < 0.03 * 4000
    assert steady[-1] == pytest.approx(1000, rel=0.1)


def test_a_static_camera_alone_has_the_link():
    """Nothing to share: activity 0 costs nothing, for one camera and for two."""
    limit = BudgetSettings(1000, 2.0, 150, 1500, 28)
    budget = ByteBudget({'a': 1.0, 'b': 1.0}, limit)
    budget.offer('a', 0, 0.0)
    assert budget.plan('a', 0).payload == plan(limit).payload
    budget.offer('b', 0, 0.0)
    assert budget.plan('a', 0) == budget.plan('b', 0) == plan(limit, 0.5)


def test_priorities_change_at_run_time():
    """A new weight holds at once."""
    limit = BudgetSettings(4000, 2.0, 100, 4000, 0)
    budget = ByteBudget({'a': 1.0, 'b': 1.0}, limit)
    for camera in 'ab':
        budget.offer(camera, 0)
    budget.prioritise('a', 4.0)
    assert budget.plan('a', 0) == plan(limit, 0.8)


def test_limits_change_at_run_time():
    """New limits hold at once."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    budget.change(BudgetSettings(4000, 2.0, 150, 1500, 28, latency_s=0.5))
    assert budget.plan('a', 0).payload == 1500


def test_a_link_that_slows_down_is_followed_within_a_second():
    """From 16 to 4 kbit/s: every window that begins later keeps the new ceiling, none starves."""
    fast = BudgetSettings(2000, 4.0, 150, 1500, 38)
    slow = replace(fast, bytes_per_second=500)
    budget, sent = ByteBudget({'a': 1.0}, fast), []
    for step in range(1500):
        now_ns = step * SECOND_NS // 50
        if step == 500:
            budget.change(slow)
        if granted := budget.grant('a', now_ns):
            budget.spend('a', granted, now_ns)
            sent.append((now_ns, budget.settings.wire(granted)))
    after = [(time_ns, wire) for time_ns, wire in sent if time_ns >= 10 * SECOND_NS]
    for start_ns, _ in after:
        assert sum(wire for time_ns, wire in after
                   if start_ns <= time_ns < start_ns + SECOND_NS) <= slow.ceiling
    assert after[0][0] <= 12 * SECOND_NS
    assert sum(wire for _, wire in after) >= 0.9 * 500 * 19


def test_a_clock_that_jumps_back_does_not_stall():
    """An hour back: the next picture leaves within two seconds."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    drive(budget, ['a'], [(30, 1.0)] * 100)
    start_ns = -3600 * SECOND_NS
    assert any(budget.grant('a', start_ns + step * SECOND_NS // 10) for step in range(21))


@pytest.mark.parametrize('values', [
    (0, 1.0, 100, 200, 0), (10, 0.0, 100, 200, 0), (10, 1.0, 300, 200, 0), (10, 1.0, 1, 2, -1),
    (10, 1.0, 1, 2, 0, 0), (10, 1.0, 1, 2, 0, None, 0.0)])
def test_bad_limits_are_refused(values):
    """Contradicting limits name what is wrong."""
    with pytest.raises(InvalidInputError):
        BudgetSettings(*values)


def test_misuse_is_refused():
    """Unknown cameras, no cameras, bad weights, and more bytes than granted."""
    limit = BudgetSettings(1000, 2.0, 150, 1500, 28)
    for weights in ({}, {'a': 0.0}):
        with pytest.raises(InvalidInputError):
            ByteBudget(weights, limit)
    budget = ByteBudget({'a': 1.0}, limit)
    with pytest.raises(InvalidInputError):
        budget.grant('b', 0)
    granted = budget.grant('a', 0)
    with pytest.raises(InvalidInputError):
        budget.spend('a', granted + 1, 0)
    for activity in (-0.1, float('nan'), float('inf')):
        with pytest.raises(InvalidInputError):
            budget.offer('a', 0, activity)
    with pytest.raises(InvalidInputError):
        budget.prioritise('a', 0.0)
