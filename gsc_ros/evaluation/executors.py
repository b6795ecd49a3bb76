"""Where items are measured: in this process, in several, or on a Ray cluster; one code path."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import importlib
import multiprocessing
import os
import sys
from types import TracebackType
from typing import Any, Protocol

from gsc_ros.codec.errors import GscError, InvalidInputError, MissingDependencyError
from gsc_ros.evaluation.work import Item, Result, WorkSettings
from gsc_ros.evaluation.worker import EvaluationWorker
from gsc_ros.runtime.tuning import keep_freed_memory

ENGINES = ('local', 'ray')
Answer = Callable[[], Result]


class Executor(Protocol):
    """Measures items in the order of ``submit``; keep ``width`` of them submitted at a time."""

    width: int

    def submit(self, item: Item) -> Answer:
        """Start an item; the answer waits for its result."""
        ...

    def __enter__(self) -> Executor:
        """Start."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Stop; what is under way is dropped."""
        ...


def open_executor(engine: str, settings: WorkSettings, jobs: int) -> Executor:
    """
    Choose by name.

    :param jobs: processes or actors; 0 with 'ray': one for each CPU of the cluster.
    :raises InvalidInputError: for another engine or less than one job.
    :raises MissingDependencyError: if ray is wanted and not installed.
    """
    if engine not in ENGINES:
        raise InvalidInputError('engine', engine, ', '.join(ENGINES))
    if jobs < (engine == 'local'):
        raise InvalidInputError('jobs', jobs, 'at least 1')
    if engine == 'ray':
        return RayExecutor(settings, jobs)
    return Inline(settings) if jobs == 1 else Processes(settings, jobs)


class Inline:
    """In this process, with all its threads."""

    width = 1

    def __init__(self, settings: WorkSettings) -> None:
        self._worker = EvaluationWorker(settings)

    def submit(self, item: Item) -> Answer:
        """Measure at once."""
        result = self._worker.measure(item)
        return lambda: result

    def __enter__(self) -> Inline:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""


_worker: EvaluationWorker | None = None


def worker_of_one_thread(settings: WorkSettings) -> EvaluationWorker:
    """Make the worker of a process that shares the machine with others of its kind."""
    import cv2
    keep_freed_memory()
    cv2.setNumThreads(1)
    os.environ['OMP_NUM_THREADS'] = '1'   # torch reads it when it is first needed
    if 'torch' in sys.modules:
        sys.modules['torch'].set_num_threads(1)
    return EvaluationWorker(settings, threads=1)


def _start(settings: WorkSettings) -> None:
    global _worker
    _worker = worker_of_one_thread(settings)


def _measure(item: Item) -> Result:
    if _worker is None:
        raise RuntimeError('the process was not started with _start')
    return _worker.measure(item)


class Processes:
    """Several processes of one thread each."""

    def __init__(self, settings: WorkSettings, jobs: int) -> None:
        self.width = 2 * jobs   # one for each to go on with, so that none waits
        # fork would copy locked locks of torch's threads
        self._pool = ProcessPoolExecutor(jobs, multiprocessing.get_context('spawn'), _start,
                                         (settings,))

    def submit(self, item: Item) -> Answer:
        """Hand an item to the next free process."""
        future: Future[Result] = self._pool.submit(_measure, item)

        def answer() -> Result:
            try:
                return future.result()
            except BrokenProcessPool as error:
                raise GscError(f'a process ended on {item.input} (out of memory?): give fewer '
                               '--jobs, or one to see its error') from error
        return answer

    def __enter__(self) -> Processes:
        """Nothing to start: that is done with the first items."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being measured, drop the rest."""
        self._pool.shutdown(cancel_futures=True)


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self, settings: WorkSettings) -> None:
        self._worker = worker_of_one_thread(settings)

    def measure(self, item: Item) -> Result:
        return self._worker.measure(item)


class RayExecutor:
    """Actors of a Ray cluster; pictures travel in the items, so nodes need no shared disk."""

    def __init__(self, settings: WorkSettings, jobs: int) -> None:
        try:
            self._ray: Any = importlib.import_module('ray')
        except ImportError as error:
            raise MissingDependencyError('ray', 'pip install ray') from error
        self._ray.init(ignore_reinit_error=True)
        jobs = jobs or int(self._ray.cluster_resources().get('CPU', 1))
        self._actors = [self._ray.remote(_Actor).remote(settings) for _ in range(jobs)]
        self._next = 0
        self.width = 2 * jobs

    def submit(self, item: Item) -> Answer:
        """Hand an item to the actors in turn."""
        actor = self._actors[self._next % len(self._actors)]
        self._next += 1
        answer = actor.measure.remote(item.carried())
        return lambda: self._ray.get(answer)

    def __enter__(self) -> RayExecutor:
        """Actors are there already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the actors back."""
        for actor in self._actors:
            self._ray.kill(actor)
