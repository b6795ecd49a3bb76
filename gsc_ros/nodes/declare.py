"""Declares a parameter table on a node and keeps its checked values."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.parameter import Parameter, Table
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Make description and range for ``ros2 param describe``."""
    described = ParameterDescriptor(
        name=parameter.name, description=parameter.description,
        additional_constraints=parameter.allowed,
        # With static typing `max_rate: 2` in a YAML file would be refused for want of a dot.
        dynamic_typing=True)
    if parameter.low is not None and parameter.kind == 'int':
        described.integer_range = [IntegerRange(
            from_value=int(parameter.low), to_value=int(parameter.high or 0), step=0)]
    elif parameter.low is not None and parameter.kind == 'float':
        described.floating_point_range = [FloatingPointRange(
            from_value=float(parameter.low), to_value=float(parameter.high or 0.0), step=0.0)]
    return described


class NodeParameters:
    """
    The checked values of a node's parameters.

    A bad value from file or command line does not stop the node from being made: it is kept back
    until ``require_valid``, so that ``configure`` fails with it and a corrected value can be set.
    """

    def __init__(self, node: Node, table: Table, changed: Callable[[], None]) -> None:
        """Declare all of ``table``; ``changed`` is called after each successful change."""
        self.values: dict[str, Any] = {}
        self.locked = False  # true while configured: then only runtime parameters may change
        self._node, self._table = node, table
        self._rejected: dict[str, InvalidInputError] = {}
        self._declaring = True
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._store)
        for parameter in table.parameters:
            self._declare(parameter)
        self._declaring = False
        self._changed = changed

    def __getitem__(self, name: str) -> Any:
        """Return the value of ``name``."""
        return self.values[name]

    def require_valid(self) -> None:
        """Raise InvalidInputError for the first bad parameter or combination."""
        for error in self._rejected.values():
            raise error
        self._table.check(self.values)

    def _declare(self, parameter: Parameter) -> None:
        # The range comes afterwards, so that our own message names what is wrong.
        plain = ParameterDescriptor(name=parameter.name, dynamic_typing=True)
        try:
            self._node.declare_parameter(parameter.name, parameter.default, plain)
        except (InvalidParameterValueException, InvalidParameterTypeException):
            self._node.declare_parameter(parameter.name, parameter.default, plain,
                                         ignore_override=True)
        self._node.set_descriptor(parameter.name, descriptor(parameter))

    def _validate(self, changes: list[RosParameter]) -> SetParametersResult:
        try:
            checked = {change.name: self._check(change) for change in changes
                       if change.name in self._table.defaults()}
            if not self._declaring:
                self._table.check({**self.values, **checked})
        except InvalidInputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check(self, change: RosParameter) -> Any:
        parameter = self._table[change.name]
        if self.locked and not parameter.runtime:
            raise InvalidInputError(change.name, repr(change.value),
                                    'changes only while the node is unconfigured')
        try:
            return parameter.check(change.value)
        except InvalidInputError as error:
            if self._declaring:
                self._rejected[change.name] = error
            raise

    def _store(self, changes: list[RosParameter]) -> None:
        for change in changes:
            if change.name in self._table.defaults():
                self.values[change.name] = self._table[change.name].check(change.value)
                if not self._declaring:
                    self._rejected.pop(change.name, None)
        if not self._declaring:
            self._changed()
