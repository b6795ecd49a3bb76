"""Worker threads, and slots that keep the newest item for them."""
from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Generic, TypeVar

Item = TypeVar('Item')


class LatestSlots(Generic[Item]):
    """One slot per key, the newest item wins; safe between threads."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._lock = threading.Lock()

    def put(self, key: str, item: Item) -> bool:
        """Store ``item``; true when it replaced one that nobody took."""
        with self._lock:
            replaced = key in self._items
            self._items[key] = item     # keeps its turn, or a slow key would wait for ever
            return replaced

    def take(self, key: str) -> Item | None:
        """Remove and return the item of ``key``, None when the slot is empty."""
        with self._lock:
            return self._items.pop(key, None)

    def take_any(self) -> tuple[str, Item] | None:
        """Remove and return the item of the key that has waited longest, None if there is none."""
        with self._lock:
            if not self._items:
                return None
            key = next(iter(self._items))
            return key, self._items.pop(key)

    def keys(self) -> list[str]:
        """Return the keys with an item, longest waiting first."""
        with self._lock:
            return list(self._items)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._items.clear()


def in_passing(job: Callable[[], None]) -> None:
    """
    Run ``job`` in a thread that ends with it, wait, and raise what it raises.

    For what loads networks that another thread will run: a thread that has used OpenMP keeps its
    helpers while it lives, and with more of them than processors libgomp sends all to sleep at
    every barrier (``bench/processes.py``).
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            job()
        except BaseException as error:
            failed.append(error)

    # a daemon, so that an interrupted program need not wait for it
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


class Worker:
    """
    A thread that calls ``step`` whenever notified.

    ``step`` returns the seconds after which it wants to be called anyway, None for "when
    notified". What it raises goes to ``on_error``; the thread lives on. Workers that share a
    ``turn`` step one at a time, so that one that is slow to stop is waited for by the next.
    """

    def __init__(self, name: str, step: Callable[[], float | None],
                 on_error: Callable[[Exception], None], turn: threading.Lock | None = None
                 ) -> None:
        """Make the thread; ``start`` runs it."""
        self._step, self._on_error = step, on_error
        self._turn = turn or threading.Lock()
        self._condition = threading.Condition()
        self._notified = self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; once only."""
        self._thread.start()

    def notify(self) -> None:
        """Wake the thread: it calls ``step`` once more."""
        with self._condition:
            self._notified = True
            self._condition.notify()

    def stop(self, timeout_s: float = 4.0) -> bool:
        """End the thread after the step in progress; false when that takes longer."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait_s: float | None = None
        while self._wait(wait_s):
            try:
                with self._turn:
                    wait_s = None if self._stopping else self._step()
            except Exception as error:
                self._on_error(error)
                wait_s = None

    def _wait(self, wait_s: float | None) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._notified or self._stopping, wait_s)
            self._notified = False
            return not self._stopping
