"""Fetches stock models from the hub, checks every file, and leaves them for offline use."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
import hashlib
import os
from pathlib import Path
import shutil
from typing import Any

from gsc_ros.codec.errors import CheckpointError, GscError
from gsc_ros.models.network import unreachable
from gsc_ros.prior.stock.families import family_of, INDEX, read_index
from gsc_ros.prior.stock.load import import_or_say
from tqdm import tqdm

# Copies of the weights in other formats and precisions, and pictures.
_LEFT_OUT = ['*.bin', '*.onnx*', '*.msgpack', '*.fp16.*', '*.ckpt', '*.gguf', '*.png', '*.jpg']
_CHUNK = 1 << 22
_GIT_KIND = 'blob'


class FetchError(GscError):
    """A model could not be fetched; says why and what helps."""

    def __init__(self, hub_id: str, reason: str) -> None:
        super().__init__(f'{hub_id} cannot be fetched: {reason}')


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model: path in its repository, bytes, sha256 (large files) or git's sha1."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True)
class RemoteModel:
    """What the hub says of a model at one commit."""

    hub_id: str
    commit: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def look_up(hub_id: str, hub: Any = None) -> RemoteModel:
    """
    Ask the hub for a model's licence and for the files that a pipeline needs.

    :param hub: module with the interface of ``huggingface_hub``; None: that one.
    :raises FetchError: without a network, for an unknown id, or where a licence must be accepted.
    """
    hub = hub or _hub()
    _check_network(hub_id)
    try:
        folders = _components(hub, hub_id)
        info = hub.HfApi().model_info(hub_id, files_metadata=True)
    except (OSError, ValueError) as error:
        raise FetchError(hub_id, _reason(hub_id, error)) from error
    wanted = [INDEX, 'LICENSE*', *(f'{name}/*' for name in folders)]
    files = tuple(_remote(s) for s in info.siblings if _any(s.rfilename, wanted)
                  and not _any(s.rfilename, _LEFT_OUT))
    licence = getattr(info.card_data, 'license_name', None) or getattr(
        info.card_data, 'license', None)
    return RemoteModel(hub_id, info.sha, str(licence or 'not stated'), files)


def fetch(model: RemoteModel, out: Path | None = None, hub: Any = None) -> Path:
    """
    Download a model into ``out``, or into the hub's cache, and check every file.

    What is there already is not fetched again. Progress is shown on standard error.

    :returns: its folder, good as a prior; the id itself serves as well if ``out`` is None.
    :raises FetchError: if it does not fit on the disk, or the download fails.
    :raises CheckpointError: if a file is not what the hub has, and is deleted.
    :raises UnknownPriorError: if it is of no family that we know.
    """
    hub = hub or _hub()
    target = out or Path(import_or_say('huggingface_hub.constants').HF_HUB_CACHE)
    target.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if free < model.size:
        raise FetchError(model.hub_id, f'{target} has {free / 1e9:.1f} GB free of '
                         f'{model.size / 1e9:.1f} needed; --out chooses another disk')
    try:
        folder = Path(hub.snapshot_download(
            model.hub_id, revision=model.commit, local_dir=out,
            allow_patterns=[file.path for file in model.files]))
    except (OSError, ValueError) as error:
        raise FetchError(model.hub_id, _reason(model.hub_id, error)) from error
    verify(folder, model.files)
    family_of(folder)
    return folder


def verify(folder: Path, files: Sequence[RemoteFile]) -> None:
    """
    Compare every file with the hub's hash.

    :raises CheckpointError: naming the first that differs; it is deleted, so that it is fetched
        again the next time.
    """
    with tqdm(total=sum(f.size for f in files), unit='B', unit_scale=True, desc='checking',
              disable=None) as bar:
        for file in files:
            path = folder / file.path
            if not path.is_file():
                raise CheckpointError(path, 'was not fetched; run the same command again')
            if not _matches(path, file, bar):
                path.resolve().unlink()
                raise CheckpointError(path, 'is not what the hub has (damaged on the way?) and '
                                      'was deleted; run the same command again')


def _matches(path: Path, file: RemoteFile, bar: Any) -> bool:
    digest: Any = hashlib.sha256()
    if file.sha256 is None:
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(f'{_GIT_KIND} {path.stat().st_size}\0'.encode())
    with path.open('rb') as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return bool(digest.hexdigest() == (file.sha256 or file.git_sha1))


def _any(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _remote(sibling: Any) -> RemoteFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    return RemoteFile(sibling.rfilename, sibling.size or 0, sha256, sibling.blob_id)


def _components(hub: Any, hub_id: str) -> list[str]:
    """Folders that the pipeline's index names, once its family is found to be a known one."""
    folder = Path(hub.hf_hub_download(hub_id, INDEX)).parent
    family_of(folder)
    return [name for name, value in read_index(folder).items()
            if isinstance(value, list) and value[0]]


def _check_network(hub_id: str) -> None:
    if os.environ.get('HF_HUB_OFFLINE', '0').upper() in ('1', 'ON', 'YES', 'TRUE'):
        raise FetchError(hub_id, 'HF_HUB_OFFLINE forbids it; unset it, or copy the folder of a '
                         'model from a machine that has it and name that folder as the prior')
    reason = unreachable(os.environ.get('HF_ENDPOINT', 'https://huggingface.co'))
    if reason:
        raise FetchError(hub_id, f'{reason}; fetch it on a machine with a network (--out DIR), '
                         'copy that folder here and name it as the prior')


def _reason(hub_id: str, error: Exception) -> str:
    name = type(error).__name__
    if name == 'GatedRepoError':
        return (f'its licence must be accepted first: open https://huggingface.co/{hub_id}, then '
                'run `hf auth login`')
    if name == 'RepositoryNotFoundError':
        return 'there is no such model, or it is private (`hf auth login`)'
    return (str(error).splitlines() or [name])[0]


def _hub() -> Any:
    return import_or_say('huggingface_hub')
