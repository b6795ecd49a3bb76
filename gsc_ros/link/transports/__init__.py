"""
How datagrams cross the thin link: UDP, a serial port, or a zenoh network.

A new transport is a file with a ``Transport`` and a line in ``TRANSPORTS``.
"""
from __future__ import annotations

from collections.abc import Callable

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.transports.common import Transport, TransportCounts, TransportError

__all__ = ['open_transport', 'Transport', 'TransportCounts', 'TransportError', 'TRANSPORTS']


def _udp(url: str, mtu: int) -> Transport:
    from gsc_ros.link.transports.udp import UdpTransport
    return UdpTransport(url, mtu=mtu)


def _serial(url: str, mtu: int) -> Transport:
    from gsc_ros.link.transports.serial_port import SerialTransport
    return SerialTransport(url, mtu=mtu)


def _zenoh(url: str, mtu: int) -> Transport:
    from gsc_ros.link.transports.zenoh_session import ZenohTransport
    return ZenohTransport(url, mtu=mtu)


# By the scheme of the URL; functions, because what a scheme needs is imported with it.
TRANSPORTS: dict[str, Callable[[str, int], Transport]] = {
    'udp': _udp,
    'serial': _serial,
    'zenoh': _zenoh,
}


def open_transport(url: str, *, mtu: int) -> Transport:
    """
    Open the transport that the URL's scheme names; the classes say how each URL is written.

    :param mtu: most bytes of a datagram, header of the link protocol included.
    :raises InvalidInputError: if the URL is not understood.
    :raises TransportError: if it is, but cannot be opened now.
    :raises MissingDependencyError: without the package that the scheme needs.
    """
    scheme = url.partition('://')[0]
    if scheme not in TRANSPORTS:
        raise InvalidInputError('link', url, ' or '.join(f'{name}://...' for name in TRANSPORTS))
    return TRANSPORTS[scheme](url, mtu)
