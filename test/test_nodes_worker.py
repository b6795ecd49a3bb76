"""Tests of the newest-wins slots, the worker thread and the scene watcher; no ROS needed."""
from __future__ import annotations

import threading
import time

from gsc_ros.codec.objects import SceneObject
from gsc_ros.media.overlay import class_colour, draw_objects
from gsc_ros.runtime.worker import in_passing, LatestSlots, Worker
from gsc_ros.scene.watcher import RefreshRule, Scene, SceneWatcher
import numpy as np
import pytest

SECOND_NS = 10**9
PATIENCE_S = 20.0


def test_newest_item_wins():
    """One item per key, which keeps its key's turn."""
    slots: LatestSlots[int] = LatestSlots()
    assert not slots.put('a', 1)
    assert not slots.put('b', 2)
    assert slots.put('a', 3)
    assert slots.keys() == ['a', 'b']
    assert slots.take_any() == ('a', 3)
    slots.put('a', 4)
    assert slots.take_any() == ('b', 2)
    assert slots.take('a') == 4
    assert slots.take('a') is None
    assert slots.take_any() is None
    slots.put('a', 1)
    slots.clear()
    assert slots.keys() == []


def test_worker_survives_errors_and_stops():
    """An error is reported, the next notification is served."""
    errors, served = [], threading.Event()
    steps = iter([ValueError('first'), None])

    def step() -> float | None:
        error = next(steps)
        if error:
            raise error
        served.set()
        return None

    failed = threading.Event()

    def on_error(error: Exception) -> None:
        errors.append(error)
        failed.set()

    worker = Worker('test', step, on_error)
    worker.start()
    worker.notify()
    assert failed.wait(PATIENCE_S)
    worker.notify()
    assert served.wait(PATIENCE_S)
    assert worker.stop()
    assert [str(error) for error in errors] == ['first']


def test_a_job_in_passing_leaves_no_thread_and_hides_no_error():
    seen = []
    in_passing(lambda: seen.append(threading.current_thread()))
    assert seen[0] is not threading.current_thread() and not seen[0].is_alive()
    with pytest.raises(ZeroDivisionError):
        in_passing(lambda: 1 / 0)


def test_workers_of_one_turn_do_not_overlap():
    """A step that outlasts its worker is waited for by the next worker."""
    turn, go_on, steps = threading.Lock(), threading.Event(), []

    def slow() -> None:
        steps.append('slow begins')
        go_on.wait(PATIENCE_S)
        steps.append('slow ends')

    first = Worker('first', slow, steps.append, turn)
    first.start()
    first.notify()
    while not steps:
        time.sleep(0.01)
    assert not first.stop(0.01)
    second = Worker('second', lambda: steps.append('second'), steps.append, turn)
    second.start()
    second.notify()
    time.sleep(0.1)
    go_on.set()
    while len(steps) < 3:
        time.sleep(0.01)
    assert second.stop()
    assert steps == ['slow begins', 'slow ends', 'second']


def test_worker_calls_again_after_the_time_it_asked_for():
    """A step that returns seconds is called again without a notification."""
    calls, done = [], threading.Event()

    def step() -> float | None:
        calls.append(1)
        if len(calls) == 3:
            done.set()
            return None
        return 0.001

    worker = Worker('test', step, lambda error: None)
    worker.start()
    worker.notify()
    assert done.wait(PATIENCE_S)
    assert worker.stop()


def picture(level: int) -> np.ndarray:
    """Make a picture whose left half has this grey level."""
    out = np.zeros((48, 64, 3), np.uint8)
    out[:, :32] = level
    return out


def test_scene_is_renewed_when_due_and_changed():
    """First picture; not before the period; on a change; at the latest after the refresh time."""
    described = threading.Semaphore(0)

    def describe(shown: np.ndarray) -> tuple[str, list[SceneObject]]:
        described.release()
        return f'level {shown[0, 0, 0]}', []

    watcher = SceneWatcher(describe, RefreshRule(2.0, 12.0, 30.0), lambda error: None)
    assert watcher.current('a') == Scene()
    watcher.start()
    assert watcher.consider('a', picture(0), 0)
    assert watcher.consider('b', picture(9), 0)
    assert not watcher.consider('a', picture(255), 1 * SECOND_NS)
    assert not watcher.consider('a', picture(3), 3 * SECOND_NS)
    for _ in range(2):
        assert described.acquire(timeout=PATIENCE_S)
    assert watcher.consider('a', picture(200), 4 * SECOND_NS)
    assert not watcher.consider('a', picture(200), 7 * SECOND_NS)
    assert described.acquire(timeout=PATIENCE_S)
    assert watcher.consider('a', picture(200), 34 * SECOND_NS)
    assert described.acquire(timeout=PATIENCE_S)
    watcher.stop()
    assert watcher.current('a').caption == 'level 200'
    assert watcher.current('b').caption == 'level 9'


def test_scene_keeps_the_last_known_after_an_error():
    """A failing captioner costs nothing but the update."""
    failed = threading.Event()

    def describe(shown: np.ndarray) -> tuple[str, list[SceneObject]]:
        raise RuntimeError('no model')

    watcher = SceneWatcher(describe, RefreshRule(0.1, 1.0, 1.0), lambda error: failed.set())
    watcher.start()
    watcher.consider('a', picture(0), 0)
    assert failed.wait(PATIENCE_S)
    watcher.stop()
    assert watcher.current('a') == Scene()


def test_overlay_draws_boxes_and_leaves_the_source_alone():
    """The box's edge has the class's colour, pixels far away stay."""
    source = np.full((120, 160, 3), 40, np.uint8)
    boxes = [SceneObject(0, 0.9, (0.25, 0.5, 0.75, 0.9)),
             SceneObject(56, 0.4, (0.0, 0.0, 1.0, 1.0))]
    drawn = draw_objects(source, boxes)
    assert (source == 40).all()
    assert tuple(drawn[90, 40]) == class_colour(0)
    assert tuple(drawn[60, 159]) == class_colour(56)
    assert (drawn[85, 80] == 40).all()
    assert len({class_colour(index) for index in range(80)}) > 60
