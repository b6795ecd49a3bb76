"""Keeps a node alive when a service request makes rclpy itself raise."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node


def guard_services(node: Node) -> None:
    """
    Refuse, log and survive requests to ``node`` on which rclpy raises.

    rclpy lets such errors through to the executor, which ends with them: a transition that the
    state does not have is one (ros2/rclpy issue 1209), a parameter of an unknown type another.
    """
    for service in node.services:
        service.callback = partial(_answer, node, service.srv_name, service.callback)


def _answer(node: Node, name: str, answer: Callable[[Any, Any], Any], request: Any, response: Any
            ) -> Any:
    try:
        return answer(request, response)
    except Exception as error:
        node.get_logger().error(f'{name}: request refused: {error}')
        return _refusal(request, type(response)(), str(error))


def _refusal(request: Any, response: Any, reason: str) -> Any:
    """Fill in an untouched response: ``success`` is false, each parameter has a result."""
    refused = SetParametersResult(successful=False, reason=reason)
    if isinstance(response, SetParameters.Response):
        response.results = [refused] * len(request.parameters)
    elif isinstance(response, SetParametersAtomically.Response):
        response.result = refused
    return response
