"""Requests and transitions that go wrong: refused or undone, and the node goes on."""
# ruff: noqa: E402 (these imports come after the check that they are there)
from __future__ import annotations

from collections.abc import Iterator
import os
import threading
import time
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('gsc_msgs')

from gsc_ros.nodes.lifecycle import GscNode
from gsc_ros.nodes.process import spin
from gsc_ros.nodes.qos import output_qos
from gsc_ros.parameters.common import NODE
from gsc_ros.parameters.parameter import Table
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import String

PATIENCE_S = 60.0
DONE, FAILED, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                       TransitionCallbackReturn.ERROR)


class Fragile(GscNode):
    """Fails in the steps that ``breaks`` names; notes all that were taken."""

    def __init__(self) -> None:
        super().__init__('gsc_fragile', Table(NODE))
        self.breaks: set[str] = set()
        self.taken: list[str] = []

    def _step(self, name: str) -> None:
        self.taken.append(name)
        if name in self.breaks:
            raise RuntimeError(f'{name} broke')

    def setup(self) -> None:
        """Make a publisher, then fail if wanted."""
        self.advertise(String, 'said', output_qos())
        self._step('setup')

    def start(self) -> None:
        """Make a subscription, then fail if wanted."""
        self.listen(String, 'heard', lambda msg: None, output_qos())
        self._step('start')

    def stop(self) -> None:
        """Fail if wanted."""
        self._step('stop')

    def teardown(self) -> None:
        """Fail if wanted."""
        self._step('teardown')

    @property
    def state(self) -> str:
        """Where the node is."""
        return str(self._state_machine.current_state[1])

    @property
    def topics(self) -> list[str]:
        """Return what it listens to and publishes of its own."""
        entities = (*self.subscriptions, *self.publishers)
        return [name for name in ('/said', '/heard')
                if any(entity.topic_name == name for entity in entities)]


@pytest.fixture
def node(monkeypatch, tmp_path) -> Iterator[Fragile]:
    """Make the node, in a domain of this test's own."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    rclpy.init(args=[], domain_id=20 + (os.getpid() + 61) % 70)
    made = Fragile()
    yield made
    rclpy.try_shutdown()


class Operator:
    """Calls the services of a node that another thread spins as ``run_node`` does."""

    def __init__(self, spun: GscNode) -> None:
        self._node = rclpy.create_node('operator')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.thread = threading.Thread(target=spin, args=(spun,), daemon=True)
        self.thread.start()

    def call(self, kind: Any, service: str, **words: Any) -> Any:
        """Return the response."""
        client = self._node.create_client(kind, f'/gsc_fragile/{service}')
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(kind.Request(**words))
        self._executor.spin_until_future_complete(future, PATIENCE_S)
        assert future.done(), f'{service} is not answered'
        return future.result()

    def change(self, number: int, label: str = '') -> bool:
        """Ask for a transition."""
        return bool(self.call(ChangeState, 'change_state', transition=Transition(
            id=number, label=label)).success)


def test_a_transition_that_the_state_does_not_have_is_refused(node, capfd):
    """Every number and label in every state; the node answers the next request."""
    operator = Operator(node)
    nonsense = (0, 8, 10, 50, 97, 255)
    for others, valid, state in (((2, 3, 4, 6, 7), Transition.TRANSITION_CONFIGURE, 'inactive'),
                                 ((1, 4, 5, 7), Transition.TRANSITION_ACTIVATE, 'active'),
                                 ((1, 2, 3, 5, 6), Transition.TRANSITION_DEACTIVATE, 'inactive')):
        assert not any(operator.change(number) for number in (*others, *nonsense))
        assert not any(operator.change(0, label) for label in ('shut', 'transition_error', 'x'))
        assert operator.change(valid)
        assert operator.call(GetState, 'get_state').current_state.label == state
    assert '/gsc_fragile/change_state: request refused' in capfd.readouterr().err
    assert operator.thread.is_alive()


def test_parameters_that_rclpy_fails_on_are_refused(node):
    """Each has a result that says so."""
    operator = Operator(node)
    odd = [Parameter(name='autostart', value=ParameterValue(type=99)),
           Parameter(name='', value=ParameterValue(type=1))]
    results = operator.call(SetParameters, 'set_parameters', parameters=odd).results
    assert [result.successful for result in results] == [False, False]
    assert not operator.call(SetParametersAtomically, 'set_parameters_atomically',
                             parameters=odd).result.successful
    assert operator.change(Transition.TRANSITION_CONFIGURE)


def test_whatever_a_callback_raises_the_node_goes_on(node, capfd):
    """Timers and subscriptions of any origin."""
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        raise RuntimeError('a bug')

    node.create_timer(0.01, tick)
    operator = Operator(node)
    deadline = time.monotonic() + PATIENCE_S
    while len(ticks) < 3:
        assert time.monotonic() < deadline and operator.thread.is_alive()
        time.sleep(0.01)
    assert operator.change(Transition.TRANSITION_CONFIGURE)
    assert 'RuntimeError: a bug' in capfd.readouterr().err


@pytest.mark.parametrize(('breaks', 'transitions', 'result', 'state'), [
    ({'setup'}, ['configure'], FAILED, 'unconfigured'),
    ({'setup', 'teardown'}, ['configure'], ERROR, 'unconfigured'),
    ({'start'}, ['configure', 'activate'], FAILED, 'inactive'),
    ({'start', 'stop'}, ['configure', 'activate'], ERROR, 'unconfigured'),
    ({'stop'}, ['configure', 'activate', 'deactivate'], ERROR, 'unconfigured'),
    ({'teardown'}, ['configure', 'cleanup'], ERROR, 'unconfigured'),
    ({'stop', 'teardown'}, ['configure', 'activate', 'shutdown'], FAILED, 'finalized')])
def test_a_step_that_fails_is_told_and_all_others_are_taken(node, capfd, breaks, transitions,
                                                            result, state):
    """The last transition fails; nothing is left over, and the node can be used again."""
    node.breaks = breaks
    results = [getattr(node, f'trigger_{name}')() for name in transitions]
    assert results == [DONE] * (len(transitions) - 1) + [result]
    assert node.state == state
    said = capfd.readouterr().err
    assert all(f'{name} broke' in said for name in breaks)
    if state == 'unconfigured':
        assert node.taken[-1] == 'teardown' and node.topics == []
    elif state == 'inactive':
        assert node.taken[-1] == 'stop' and node.topics == ['/said']
    node.breaks = set()
    if state == 'unconfigured':
        assert node.trigger_configure() == DONE
    if state != 'finalized':
        assert node.trigger_activate() == DONE
        assert node.topics == ['/said', '/heard']
        assert node.close() and node.topics == []


def test_what_has_ended_may_be_ended_again(node):
    """A subclass need not know whether deactivation has come before it."""
    publisher = node.advertise(String, 'said', output_qos())
    subscription = node.listen(String, 'heard', lambda msg: None, output_qos())
    assert node.close()
    node.withdraw(publisher)
    node.unsubscribe(subscription)
