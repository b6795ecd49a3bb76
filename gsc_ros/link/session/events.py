"""What the ends of the link tell those who use them."""
from __future__ import annotations

from dataclasses import dataclass

from gsc_ros.link.wire.blobs import StreamFacts
from gsc_ros.link.wire.datagrams import Request


@dataclass(frozen=True)
class Acked:
    """The base station holds this picture."""

    stream_id: int
    sequence: int


@dataclass(frozen=True)
class RefreshAsked:
    """The base station holds no picture of this stream, or asks for one that stands alone."""

    stream_id: int


@dataclass(frozen=True)
class Requested:
    """The base station asks for something; each request comes once."""

    request: Request


@dataclass(frozen=True)
class OtherVersion:
    """The other end seems to speak another version of the protocol: nothing of it is taken."""

    version: int
    ours: int

    def __str__(self) -> str:
        return (f'a datagram of link version {self.version} came, this side speaks '
                f'{self.ours}: install the same gsc_ros version on robot and base station')


RobotEvent = Acked | RefreshAsked | Requested | OtherVersion


@dataclass(frozen=True)
class Picture:
    """A picture that arrived, byte for byte; ``facts`` None: not known yet."""

    stream_id: int
    sequence: int
    stamp_ns: int
    packet: bytes
    facts: StreamFacts | None


@dataclass(frozen=True)
class Facts:
    """News about a stream."""

    stream_id: int
    facts: StreamFacts


@dataclass(frozen=True)
class Restarted:
    """
    The robot's end is another run than before: what was known of its streams is void.

    ``run``: 64 random bits with a key, 8 without.
    """

    run: int


@dataclass(frozen=True)
class Expired:
    """A request not confirmed by the robot in time, or made for streams of its run before."""

    request: Request

    def __str__(self) -> str:
        values = ', '.join(f'{value:g}' for value in self.request.values)
        return f'{self.request.kind.name}({values}) was not confirmed by the robot and has expired'


@dataclass(frozen=True)
class TwoRobots:
    """Two robots use one key, or without a key one link; the one that was heard last is kept."""

    def __str__(self) -> str:
        return ('two robots speak on this link under one key: each robot needs a key and a '
                'base station of its own')


BaseEvent = Picture | Facts | Restarted | Expired | TwoRobots | OtherVersion
