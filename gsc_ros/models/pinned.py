"""
Weights of others that may be fetched, each with the hash of the one file that is meant.

A .pt file is a pickle: loading it runs what it says. Without a hash nothing is loaded that the
user has not named by its path.
"""
from __future__ import annotations

from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import tempfile
import urllib.request

from gsc_ros.codec.errors import GscError
from gsc_ros.models.network import failure_within


class FetchWeightsError(GscError):
    """Weights could not be fetched; says why and what helps."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'{name} cannot be fetched: {reason}')


@dataclass(frozen=True)
class Weights:
    """One file of weights: where it is published, how long it is, and its sha256."""

    name: str
    url: str
    sha256: str
    most_bytes: int

    def matches(self, file: Path) -> bool:
        """Whether a file is the one that is meant."""
        try:
            if file.stat().st_size > self.most_bytes:
                return False
            return hashlib.sha256(file.read_bytes()).hexdigest() == self.sha256
        except OSError:
            return False


PINNED = {weights.name: weights for weights in (
    # AGPL-3.0, by Ultralytics
    Weights('yolo26n.pt',
            'https://github.com/ultralytics/assets/releases/download/v8.4.0/yolo26n.pt',
            '9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef', 10_000_000),
)}


def fetch_weights(weights: Weights, folder: Path, seconds: float) -> Path:
    """
    Download weights, unless they are there; the file appears only when its hash is right.

    :param seconds: after which a download is given up, a silent name server included.
    :raises FetchWeightsError: without a network, or if the server has another file.
    """
    target = folder / weights.name
    if weights.matches(target):
        return target
    parts: list[bytes] = []

    def download() -> None:
        with urllib.request.urlopen(weights.url, timeout=seconds) as answer:
            parts.append(answer.read(weights.most_bytes + 1))
    reason = failure_within(download, weights.url, seconds)
    if reason:
        raise FetchWeightsError(weights.name, f'{reason}; fetch it on a machine with a network '
                                f'and copy it to {target}')
    found = hashlib.sha256(parts[0]).hexdigest()
    if found != weights.sha256:
        raise FetchWeightsError(weights.name, f'{weights.url} has a file with sha256 {found}, not '
                                f'{weights.sha256}; nothing was kept')
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, 'wb') as file:
        file.write(parts[0])
    Path(name).replace(target)
    return target
