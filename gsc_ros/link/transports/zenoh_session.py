"""Datagrams over a zenoh network, for those who route over one."""
from __future__ import annotations

from collections import deque
import json
from pathlib import Path
import threading
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.link.transports.common import (
    split_address,
    split_url,
    TransportCounts,
    TransportError,
)

DEFAULT_KEY = 'gsc/link'
QUEUE = 256   # datagrams that nobody has taken yet; the oldest give way
# Measured between two network namespaces (bench/link_bytes.py): IPv4 and TCP 52, zenoh 16. Not in
# it: TCP's acknowledgement in the other direction (52) and what TCP repeats after losses.
ZENOH_AND_TCP_BYTES = 68


class ZenohTransport:
    """
    ``zenoh://HOST:PORT?key=gsc/link``, ``zenoh://?listen=HOST:PORT``, ``zenoh://?config=FILE``.

    Both sides publish on the same key and hear each other, not themselves. HOST:PORT is a router
    or the peer, over TCP; ``config`` names a zenoh configuration (TLS, access rights, scouting).
    Datagrams are sent as best effort, unbatched, and dropped where the network is congested.
    A peer that is away is looked for by zenoh itself.
    """

    overhead_bytes = ZENOH_AND_TCP_BYTES

    def __init__(self, url: str, *, mtu: int) -> None:
        """
        Open a session.

        :raises InvalidInputError: if the URL is not of that form.
        :raises TransportError: if zenoh refuses (address taken, bad key or configuration).
        :raises MissingDependencyError: without eclipse-zenoh.
        """
        zenoh = _zenoh()
        self.counts = TransportCounts()
        self._mtu = mtu
        self._arrived: deque[bytes] = deque(maxlen=QUEUE)
        self._change = threading.Condition()
        self._woken = False
        settings, key = _parse(url)
        try:
            config = _config(zenoh, settings)
            self._session = zenoh.open(config)
        except zenoh.ZError as error:
            raise TransportError(url, error) from error
        try:
            self._declare(zenoh, key)
        except zenoh.ZError as error:
            self._session.close()
            raise TransportError(url, error) from error

    def _declare(self, zenoh: Any, key: str) -> None:
        self._publisher = self._session.declare_publisher(
            key, congestion_control=zenoh.CongestionControl.DROP, express=True,
            priority=zenoh.Priority.REAL_TIME, reliability=zenoh.Reliability.BEST_EFFORT,
            allowed_destination=zenoh.Locality.REMOTE)
        self._subscriber = self._session.declare_subscriber(
            key, self._on_sample, allowed_origin=zenoh.Locality.REMOTE)

    def _on_sample(self, sample: Any) -> None:
        datagram = sample.payload.to_bytes()
        with self._change:
            if 0 < len(datagram) <= self._mtu:
                self._arrived.append(datagram)
                self._change.notify()
            else:
                self.counts.corrupt += 1

    def send(self, datagram: bytes) -> None:
        """Publish; what zenoh refuses is counted."""
        try:
            self._publisher.put(datagram)
            self.counts.sent += 1
        except _zenoh().ZError as error:
            self.counts.failed_to_send(error)

    def reply(self, datagram: bytes) -> None:
        """Send: everybody hears it."""
        self.send(datagram)

    def receive(self, timeout_s: float) -> bytes | None:
        """Wait for a datagram; see Transport."""
        with self._change:
            self._change.wait_for(lambda: self._arrived or self._woken, max(0.0, timeout_s))
            self._woken = False
            if not self._arrived:
                return None
            self.counts.received += 1
            return self._arrived.popleft()

    def wake(self) -> None:
        """End ``receive``."""
        with self._change:
            self._woken = True
            self._change.notify()

    def confirm(self) -> None:
        """Do nothing: everybody who may use the key is the peer."""

    def close(self) -> None:
        """Leave the network."""
        self._session.close()


def _parse(url: str) -> tuple[dict[str, str], str]:
    """Return what is to be set (``connect``, ``listen``, ``config``) and the key."""
    parts, query = split_url(url, ('key', 'listen', 'config'))
    key = query.pop('key', DEFAULT_KEY)
    if parts.netloc:
        query['connect'] = parts.netloc
    for name in query.keys() & {'connect', 'listen'}:
        host, port = split_address(url, query[name])
        if not host or not port:
            raise InvalidInputError('link', url, f'HOST:PORT for {name}')
    if parts.path or not query or not key:
        raise InvalidInputError('link', url, 'zenoh://HOST:PORT?key=KEY&listen=HOST:PORT'
                                             '&config=FILE, at least one address or the file')
    if 'config' in query and not Path(query['config']).is_file():
        raise InvalidInputError('link', url, 'config=FILE, a file that exists')
    return query, key


def _config(zenoh: Any, settings: dict[str, str]) -> Any:
    if 'config' in settings:
        config = zenoh.Config.from_file(settings['config'])
    else:
        config = zenoh.Config()
        # Only who is named in the URL takes part.
        config.insert_json5('scouting/multicast/enabled', 'false')
        config.insert_json5('listen/endpoints', '[]')
    for name in ('connect', 'listen'):
        if name in settings:
            config.insert_json5(f'{name}/endpoints', json.dumps([f'tcp/{settings[name]}']))
    return config


def _zenoh() -> Any:
    try:
        import zenoh
    except ImportError as error:
        raise MissingDependencyError('eclipse-zenoh', 'pip install eclipse-zenoh==1.10.2'
                                     ) from error
    return zenoh
