"""Restarted robots and second robots, told apart by their runs."""
from __future__ import annotations

from gsc_ros.link.session.runs import Heard, Runs
from gsc_ros.units import SECOND_NS
import pytest


def hear(runs: Runs, run: int, at_s: float, *, live: bool = True, proven: bool = False) -> Heard:
    return runs.heard(run, int(at_s * SECOND_NS), live=live, proven=proven)


def test_the_first_run_is_no_restart_and_the_next_is_one() -> None:
    runs = Runs()
    assert [hear(runs, run, run) for run in (1, 1, 2, 2, 3)] == [
        Heard.FIRST, Heard.SAME, Heard.RESTART, Heard.SAME, Heard.RESTART]


def test_without_proof_what_comes_within_five_seconds_is_late() -> None:
    runs = Runs()
    hear(runs, 1, 0)
    hear(runs, 2, 10)
    assert hear(runs, 1, 14.9) is Heard.LATE
    assert runs.current == 2
    assert hear(runs, 1, 15) is Heard.RETURNED


def test_with_proof_a_run_that_returns_is_another_robot_at_once_and_for_ever() -> None:
    for later_s in (0.1, 3600):
        runs = Runs()
        hear(runs, 1, 0, proven=True)
        hear(runs, 2, 10, proven=True)
        assert hear(runs, 1, 10 + later_s, proven=True) is Heard.RETURNED


def test_without_proof_a_run_is_forgotten_after_thirty_seconds() -> None:
    """Its 8 bits may be those of a robot that was started again."""
    runs = Runs()
    hear(runs, 1, 0)
    hear(runs, 2, 10)
    assert hear(runs, 1, 40.1) is Heard.RESTART


@pytest.mark.parametrize('proven', [False, True])
def test_of_two_robots_the_one_that_is_there_is_kept_while_it_is_heard(proven: bool) -> None:
    """Until the other has not tried for a minute."""
    runs = Runs()
    hear(runs, 1, 0, proven=proven)
    hear(runs, 2, 10, proven=proven)
    assert hear(runs, 1, 16, proven=proven) is Heard.RETURNED
    for at_s in (17, 70, 120):
        assert hear(runs, 2, at_s, proven=proven) is Heard.LATE
        assert runs.refuses(3, at_s * SECOND_NS, live=True)
        assert not runs.refuses(1, at_s * SECOND_NS, live=True)
    assert not runs.refuses(2, 121 * SECOND_NS, live=False)
    assert hear(runs, 4, 200, proven=proven) is Heard.RESTART


def test_few_runs_are_remembered() -> None:
    runs = Runs()
    for run in range(1000):
        hear(runs, run, run, proven=True)
    assert len(runs._replaced) == 16
