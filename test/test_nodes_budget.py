"""Tests of gsc_ros.budget."""
from __future__ import annotations

from gsc_ros.budget import BUCKET_PACKETS, BudgetSettings, ByteBudget, plan, SECOND_NS
from gsc_ros.codec.errors import InvalidInputError
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

limits = st.builds(
    lambda speed, rate, low, more, overhead: BudgetSettings(
        speed, rate, low, low + more, overhead),
    st.integers(20, 20_000), st.floats(0.1, 30), st.integers(100, 400), st.integers(0, 3000),
    st.integers(0, 60))


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
            sent.append((now_ns, camera, payload, payload + budget.settings.overhead_bytes))
    return sent


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
        burst = BUCKET_PACKETS * (plan(limit).payload + limit.overhead_bytes)
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
    wire = planned.rate * (planned.payload + limit.overhead_bytes)
    assert wire <= limit.bytes_per_second * (1 + 1e-9)


def test_plan_of_the_defaults():
    """8 kbit/s carry two pictures of 472 bytes a second; a thinner link fewer, not smaller."""
    assert plan(BudgetSettings(1000, 2.0, 150, 1500, 28)).payload == 472
    thin = plan(BudgetSettings(125, 2.0, 150, 1500, 28))
    assert thin.payload == 150
    assert thin.rate == pytest.approx(125 / 178)


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


def test_failed_pictures_do_not_spin():
    """A cancelled grant waits for the next period like a sent picture."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    assert budget.grant('a', 0)
    budget.cancel('a', 0)
    assert not budget.grant('a', 10_000_000)
    assert budget.grant('a', SECOND_NS)


def test_limits_change_at_run_time():
    """New limits hold at once."""
    budget = ByteBudget({'a': 1.0}, BudgetSettings(1000, 2.0, 150, 1500, 28))
    budget.change(BudgetSettings(4000, 2.0, 150, 1500, 28))
    assert budget.plan('a', 0).payload == 1500


@pytest.mark.parametrize('values', [
    (0, 1.0, 100, 200, 0), (10, 0.0, 100, 200, 0), (10, 1.0, 300, 200, 0), (10, 1.0, 1, 2, -1)])
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
