"""Base of our lifecycle nodes: parameters, autostart, errors that never kill."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
import time
import traceback
from typing import Any

from gsc_ros.codec.errors import GscError
from gsc_ros.nodes.declare import NodeParameters
from gsc_ros.nodes.diagnostics import Counters, Diagnostics
from gsc_ros.nodes.services import guard_services
from gsc_ros.parameters.common import check_apart
from gsc_ros.parameters.parameter import Table
from gsc_ros.runtime.worker import in_passing
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

REPEAT_S = 30.0  # a message of one kind is logged again after this time at the earliest


class GscNode(LifecycleNode):
    """
    A lifecycle node with a parameter table.

    Subclasses fill in ``setup`` (configure), ``start`` (activate), ``stop`` (deactivate) and
    ``teardown`` (clean up). All four may raise; stop and teardown must bear being called twice.
    What ``listen`` and ``advertise`` made is taken back before them.
    """

    longest_close_s = 1.0  # waited for at the end of the process; a step under way may take longer

    def __init__(self, name: str, table: Table) -> None:
        """Declare the parameters, do nothing else."""
        super().__init__(name)
        guard_services(self)
        self.failed = False  # set by a node whose work cannot be done: its exit code is then 1
        self._logged: dict[str, tuple[float, int]] = {}
        self._diagnostics: Diagnostics | None = None
        self._heard: list[Subscription] = []
        self._advertised: list[Publisher] = []
        self.parameters = NodeParameters(self, table, self._on_changed)

    def setup(self) -> None:
        """Load models, make publishers; called in a thread of its own."""

    def start(self) -> None:
        """Make subscriptions, start threads."""

    def stop(self) -> None:
        """Undo ``start``."""

    def teardown(self) -> None:
        """Undo ``setup``."""

    def summary(self) -> str:
        """Say what the node does, for the log when it becomes active."""
        return ''

    def counters(self) -> list[Counters]:
        """Return what goes to /diagnostics."""
        return []

    def refresh_gauges(self) -> None:
        """Prepare for the next publication on /diagnostics."""

    def parameters_changed(self) -> None:
        """Take over changed runtime parameters; called while configured."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check parameters and set up; on failure the node stays unconfigured, to try again."""
        if self._attempt('configure', self.parameters.require_valid,
                         partial(in_passing, self.setup)):
            self.parameters.locked = True
            return TransitionCallbackReturn.SUCCESS
        return _undone(self._drop_all())

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start working."""
        if self._attempt('activate', self.start, self._start_diagnostics):
            self.get_logger().info(f'active: {self.summary()}')
            return TransitionCallbackReturn.SUCCESS
        return _undone(self._stop_all())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working, keep models; what is half stopped is dropped by ``on_error``."""
        return _done(self._stop_all())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop models and publishers; parameters may change again."""
        dropped = self._drop_all()
        self.parameters.locked = False
        return _done(dropped)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and drop everything; the node is finalized even if that fails."""
        return (TransitionCallbackReturn.SUCCESS if self.close()
                else TransitionCallbackReturn.FAILURE)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and drop everything after a transition that failed half way: unconfigured."""
        self.close()
        self.parameters.locked = False
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> bool:
        """Stop threads and drop everything, whatever the state; false when a step failed."""
        stopped = self._stop_all()
        return self._drop_all() and stopped

    def _stop_all(self) -> bool:
        return self._attempt_each('deactivate', self._stop_diagnostics, self._unsubscribe_all,
                                  self.stop)

    def _drop_all(self) -> bool:
        return self._attempt_each('cleanup', self._withdraw_all, self.teardown)

    def autostart(self) -> bool:
        """Configure and activate when the parameter says so; false when that failed."""
        if not self.parameters['autostart']:
            return True
        return (self.trigger_configure() == TransitionCallbackReturn.SUCCESS
                and self.trigger_activate() == TransitionCallbackReturn.SUCCESS)

    def listen(self, kind: Any, topic: str, handle: Callable[..., None], qos: QoSProfile, *,
               raw: bool = False) -> Subscription:
        """
        Subscribe until deactivated; what ``handle`` raises is reported and ends nothing.

        With ``raw`` it gets the messages serialized.
        """
        @wraps(handle)  # rclpy reads from the signature whether message info is wanted
        def guarded(*words: Any) -> None:
            with self.guard(topic):
                handle(*words)

        self._heard.append(self.create_subscription(kind, topic, guarded, qos, raw=raw))
        return self._heard[-1]

    def unsubscribe(self, subscription: Subscription) -> None:
        """End one subscription of ``listen`` early; nothing happens if it has ended."""
        if subscription in self._heard:
            self._heard.remove(subscription)
            self.destroy_subscription(subscription)

    def check_outputs(self, name: str, outputs: Callable[[str], Iterable[str]]) -> None:
        """Raise InvalidInputError if two topics of parameter ``name`` have an output in common."""
        check_apart(name, {
            topic: [self.resolve_topic_name(output, only_expand=True) for output in outputs(topic)]
            for topic in self.parameters[name]})

    def advertise(self, kind: Any, topic: str, qos: QoSProfile) -> Publisher:
        """Make a publisher that lasts until clean-up."""
        self._advertised.append(self.create_publisher(kind, topic, qos))
        return self._advertised[-1]

    def withdraw(self, publisher: Publisher) -> None:
        """End one publisher of ``advertise`` early; nothing happens if it has ended."""
        if publisher in self._advertised:
            self._advertised.remove(publisher)
            self.destroy_publisher(publisher)

    @contextmanager
    def guard(self, kind: str, on_error: Callable[[Exception], None] | None = None
              ) -> Iterator[None]:
        """Report any error of the block and go on: one bad message must not end a node."""
        try:
            yield
        except Exception as error:
            self.report(kind, error)
            if on_error:
                on_error(error)

    def report(self, kind: str, error: Exception) -> None:
        """Log an error, each kind at most every 30 s; an unexpected one with its traceback."""
        if not self.context.ok():
            return  # what fails while the context goes down is no news
        now_s = time.monotonic()
        last_s, held_back = self._logged.get(kind, (-REPEAT_S, 0))
        if now_s - last_s < REPEAT_S:
            self._logged[kind] = (last_s, held_back + 1)
            return
        self._logged[kind] = (now_s, 0)
        more = f' ({held_back} more before)' if held_back else ''
        if isinstance(error, GscError):
            self.get_logger().warning(f'{kind}: {error}{more}')
        else:
            trace = ''.join(traceback.format_exception(error))
            self.get_logger().error(f'{kind}: unexpected error{more}\n{trace}')

    def _attempt_each(self, transition: str, *steps: Callable[[], None]) -> bool:
        """Take every step even if one before it fails; false when one did."""
        taken = [self._attempt(transition, step) for step in steps]
        return all(taken)

    def _attempt(self, transition: str, *steps: Callable[[], None]) -> bool:
        try:
            for step in steps:
                step()
        except GscError as error:
            self.get_logger().error(f'{transition} failed: {error}')
        except Exception:
            if self.context.ok():
                self.get_logger().error(f'{transition} failed:\n{traceback.format_exc()}')
        else:
            return True
        return False

    def _unsubscribe_all(self) -> None:
        while self._heard:
            self.destroy_subscription(self._heard.pop())

    def _withdraw_all(self) -> None:
        while self._advertised:
            self.destroy_publisher(self._advertised.pop())

    def _start_diagnostics(self) -> None:
        self._diagnostics = Diagnostics(self, self.parameters['diagnostics_period'],
                                        self.counters, self.refresh_gauges)

    def _stop_diagnostics(self) -> None:
        diagnostics, self._diagnostics = self._diagnostics, None
        if diagnostics:
            diagnostics.close()

    def _on_changed(self) -> None:
        if self.parameters.locked:
            with self.guard('parameter change'):
                self.parameters_changed()


def _done(all_steps: bool) -> TransitionCallbackReturn:
    """
    Return how a transition that takes things down ended.

    ERROR leads to ``on_error``: after FAILURE rclpy would take the node for as active as before.
    """
    return TransitionCallbackReturn.SUCCESS if all_steps else TransitionCallbackReturn.ERROR


def _undone(all_steps: bool) -> TransitionCallbackReturn:
    """Return how a failed transition ended: the state before it, if all could be taken back."""
    return TransitionCallbackReturn.FAILURE if all_steps else TransitionCallbackReturn.ERROR
