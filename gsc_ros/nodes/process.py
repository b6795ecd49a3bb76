"""A node as what a process is for: signals, and an end without the interpreter's clean-up."""
from __future__ import annotations

from collections.abc import Callable
import signal
import sys
import threading
import time
from typing import NoReturn

from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.runtime.ending import end_process, FirstSignal
from gsc_ros.runtime.tuning import keep_freed_memory, share_cpus
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.utilities import try_shutdown

PAUSE_S = 0.1


def run_process(make: Callable[[], GscNode]) -> NoReturn:
    """
    Run a node until SIGINT or SIGTERM, then end the process with the code of ``run_node``.

    A second signal changes nothing: the end is under way.
    """
    interrupt = FirstSignal()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        code = run_node(make)
    except KeyboardInterrupt:  # before there was anything to close
        code = 0
    end_process(code)


def run_node(make: Callable[[], GscNode], args: list[str] | None = None) -> int:
    """
    Run a node until SIGINT or SIGTERM, or until it ends the context itself.

    :returns: the exit code: 0, or 1 when autostart or the node has failed.
    """
    share_cpus()
    keep_freed_memory()
    node: GscNode | None = None
    try:
        rclpy.init(args=sys.argv if args is None else args)
        node = make()
        if not node.autostart():
            return 1 if node.context.ok() else 0
        spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None and _closed(node):
            node.destroy_node()
        try_shutdown()
    return int(node is not None and node.failed)


def _closed(node: GscNode) -> bool:
    """Close a node; false when that takes too long: its threads then end with the process."""
    thread = threading.Thread(target=node.close, name='close', daemon=True)
    thread.start()
    thread.join(node.longest_close_s)
    return not thread.is_alive()


def spin(node: GscNode) -> None:
    """Execute callbacks until shutdown; what rclpy itself raises is reported and ends nothing."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while node.context.ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:
            node.report('executor', error)
            time.sleep(PAUSE_S)  # an error that comes every time must not take the whole CPU
