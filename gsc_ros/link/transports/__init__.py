"""How datagrams cross the thin link: UDP, a serial port, or a zenoh network."""
from __future__ import annotations

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.transports.common import Transport, TransportCounts, TransportError

__all__ = ['open_transport', 'Transport', 'TransportCounts', 'TransportError']

SCHEMES = ('udp', 'serial', 'zenoh')


def open_transport(url: str, *, mtu: int) -> Transport:
    """
    Open the transport that the URL's scheme names; the classes say how each URL is written.

    :param mtu: most bytes of a datagram, header of the link protocol included.
    :raises InvalidInputError: if the URL is not understood.
    :raises TransportError: if it is, but cannot be opened now.
    :raises MissingDependencyError: without the package that the scheme needs.
    """
    scheme = url.partition('://')[0]
    if scheme == 'udp':
        from gsc_ros.link.transports.udp import UdpTransport
        return UdpTransport(url, mtu=mtu)
    if scheme == 'serial':
        from gsc_ros.link.transports.serial_port import SerialTransport
        return SerialTransport(url, mtu=mtu)
    if scheme == 'zenoh':
        from gsc_ros.link.transports.zenoh_session import ZenohTransport
        return ZenohTransport(url, mtu=mtu)
    raise InvalidInputError('link', url, ' or '.join(f'{name}://...' for name in SCHEMES))
