"""Short questions to servers of model weights, bounded also where a name server is silent."""
from __future__ import annotations

from collections.abc import Callable
import threading
import urllib.error
import urllib.request

_SECONDS = 4.0


def unreachable(url: str, seconds: float = _SECONDS) -> str:
    """Say why a server does not answer within so many seconds; empty if it does."""
    def ask() -> None:
        try:
            request = urllib.request.Request(url, method='HEAD')
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass   # it answers, if only to say no
    return failure_within(ask, url, seconds)


def failure_within(action: Callable[[], None], url: str, seconds: float) -> str:
    """
    Run something that asks a server, in a thread that is left behind when it takes too long.

    Timeouts of sockets do not bound the wait for a name server.

    :returns: why it failed; empty if it did not.
    """
    reasons = [f'{url} did not answer within {seconds:g} s']

    def run() -> None:
        try:
            action()
            reasons[0] = ''
        except (OSError, ValueError) as error:
            reasons[0] = f'{url} cannot be reached ({getattr(error, "reason", error)})'
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return reasons[0]
