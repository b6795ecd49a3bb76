"""What a node parameter is: type, default, range and description, checked in one place."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import math
from typing import Any

from gsc_ros.codec.errors import InvalidInputError

SCALARS: dict[str, type] = {'bool': bool, 'int': int, 'float': float, 'str': str}
KINDS = (*SCALARS, 'str_list', 'float_list')


@dataclass(frozen=True)
class Parameter:
    """
    One parameter; of a list ``low``, ``high`` and ``choices`` bound each element.

    ``runtime`` says whether it may change while the node is configured. A list is never empty,
    because ROS parameter files cannot express an empty one.
    """

    name: str
    kind: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    runtime: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.choices:
            values = ' | '.join(self.choices)
        elif self.low is not None:
            values = f'{self.low}..{self.high}'
        else:
            values = self.kind.removesuffix('_list')
        if self.kind.endswith('_list'):
            return f'a list of {values}, not empty'
        return f'{self.kind} {values}' if self.low is not None else values

    def check(self, value: Any) -> Any:
        """
        Return ``value`` in this parameter's type (an int serves as float).

        Raises InvalidInputError with name, value and allowed range.
        """
        if not self.kind.endswith('_list'):
            return self._check_one(value, value)
        if isinstance(value, str) or not hasattr(value, '__iter__'):
            raise InvalidInputError(self.name, repr(value), self.allowed)
        values = [self._check_one(element, list(value)) for element in value]
        if not values:
            raise InvalidInputError(self.name, '[]', self.allowed)
        return values

    def _check_one(self, element: Any, whole: Any) -> Any:
        kind = SCALARS[self.kind.removesuffix('_list')]
        if kind is float and isinstance(element, int) and not isinstance(element, bool):
            element = float(element)
        if type(element) is not kind:
            raise InvalidInputError(self.name, repr(whole), self.allowed)
        number: Any = element  # of which only numbers have a range
        in_range = self.low is None or self.high is None or (
            math.isfinite(number) and self.low <= number <= self.high)
        if not in_range or (self.choices and element not in self.choices):
            raise InvalidInputError(self.name, repr(whole), self.allowed)
        return element


def _no_check(values: Mapping[str, Any]) -> None:
    """Nothing to compare between parameters."""


@dataclass(frozen=True)
class Table:
    """All parameters of one node; ``check`` raises InvalidInputError for a bad combination."""

    parameters: tuple[Parameter, ...]
    check: Callable[[Mapping[str, Any]], None] = _no_check

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter ``name``; InvalidInputError when there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise InvalidInputError('parameter', name, [p.name for p in self.parameters])

    def defaults(self) -> dict[str, Any]:
        """Every parameter's default."""
        return {parameter.name: parameter.default for parameter in self.parameters}
