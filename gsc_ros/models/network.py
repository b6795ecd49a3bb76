"""Whether a server of model weights answers, asked before libraries retry for minutes."""
from __future__ import annotations

import urllib.error
import urllib.request

_SECONDS = 4.0


def unreachable(url: str, seconds: float = _SECONDS) -> str:
    """Say why a server does not answer within so many seconds; empty if it does."""
    try:
        request = urllib.request.Request(url, method='HEAD')
        urllib.request.urlopen(request, timeout=seconds).close()
    except urllib.error.HTTPError:
        return ''   # it answers, if only to say no
    except (OSError, ValueError) as error:
        return f'{url} cannot be reached ({getattr(error, "reason", error)})'
    return ''
