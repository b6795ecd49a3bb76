"""Parameters that several nodes share."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.parameters.parameter import Parameter

NODE = (
    Parameter('autostart', 'bool', True, 'Configure and activate by itself at start.'),
    Parameter('diagnostics_period', 'float', 1.0, 'Seconds between two /diagnostics messages.',
              0.1, 60.0),
)

INPUT = (
    Parameter('reliability', 'str', 'best_effort',
              'QoS reliability of the input; best_effort connects to every publisher.',
              choices=('best_effort', 'reliable')),
    Parameter('depth', 'int', 1, 'QoS queue depth of the input, in messages.', 1, 100),
)


def check_unique(name: str, values: list[str]) -> None:
    """Raise InvalidInputError when a topic is empty or stands twice."""
    if len(set(values)) != len(values) or not all(values):
        raise InvalidInputError(name, values, 'different topics, none empty')


def check_apart(name: str, outputs: Mapping[str, Iterable[str]]) -> None:
    """
    Check that what is made of different topics comes out on different topics.

    :param outputs: for each topic of the parameter ``name`` the full names of its outputs.
    :raises InvalidInputError: with both topics, the output that they share, and the cure.
    """
    owners: dict[str, str] = {}
    pairs = [(topic, output) for topic in outputs for output in outputs[topic]]
    for topic, shared in pairs:
        owner = owners.setdefault(shared, topic)
        if owner != topic:
            raise InvalidInputError(
                name, [owner, topic], f'topics in namespaces of their own, such as '
                f'{owner}/image_raw and {topic}/image_raw: both would come out on {shared}')
