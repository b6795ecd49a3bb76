"""Every error that this package raises on purpose."""
from __future__ import annotations


class GscError(Exception):
    """Base of all typed errors of gsc_ros."""


class PacketError(GscError):
    """A packet cannot be read; names the field, the value and the limit."""

    def __init__(self, field: str, value: object, limit: object) -> None:
        self.field, self.value, self.limit = field, value, limit
        super().__init__(f'bad packet: {field} is {value}, expected {limit}')


class BudgetError(GscError):
    """No packet of this picture fits into ``max_bytes``; names the smallest that does."""

    def __init__(self, max_bytes: int, smallest: int) -> None:
        self.max_bytes, self.smallest = max_bytes, smallest
        super().__init__(f'max_bytes={max_bytes} is too small: this picture needs {smallest}')


class InvalidInputError(GscError):
    """An argument is outside its range; names it, its value and the range."""

    def __init__(self, name: str, value: object, allowed: object) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f'{name} is {value}, allowed: {allowed}')


class ModelMismatchError(GscError):
    """The packet was made with another checkpoint than the one loaded here."""

    def __init__(self, packet: int, loaded: int) -> None:
        self.packet, self.loaded = packet, loaded
        super().__init__(
            f'packet needs model {packet:#06x}, loaded is {loaded:#06x}: '
            'install the same gsc_ros version on robot and base station')


class CheckpointError(GscError):
    """A checkpoint is missing or does not fit; names the file and what is wrong with it."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f'checkpoint {path}: {reason}')


class MissingDependencyError(GscError):
    """An optional package is not installed; names the command that installs it."""

    def __init__(self, package: str, cure: str) -> None:
        self.package, self.cure = package, cure
        super().__init__(f'{package} is not installed; run: {cure}')
