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
class RefreshNeeded:
    """The base station holds no picture of this stream, or asks for one that stands alone."""

    stream_id: int


@dataclass(frozen=True)
class Requested:
    """The base station asks for something; each request comes once."""

    request: Request


RobotEvent = Acked | RefreshNeeded | Requested


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
    """The robot's end is another run than before."""

    boot: int


BaseEvent = Picture | Facts | Restarted
