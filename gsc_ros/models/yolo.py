"""ultralytics without side effects, and the embedded YOLO's architecture and weights."""
from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import functools
import importlib
import os
from pathlib import Path
import shutil
import stat
import tempfile
from typing import Any, TYPE_CHECKING

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import CheckpointError, MissingDependencyError
from gsc_ros.models.assets import ASSETS
from gsc_ros.models.torchvision_shim import import_torchvision
import yaml

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

ARCHITECTURE = ASSETS / 'detector_yolo_robot.yaml'
WEIGHTS = ASSETS / 'detector_yolo_robot.safetensors'


@dataclass(frozen=True)
class Architecture:
    """The ultralytics model description and the COCO class behind each output."""

    config: dict[str, Any]
    coco_ids: tuple[int, ...]

    @property
    def names(self) -> dict[int, str]:
        """Class name of each output."""
        return {index: COCO_NAMES[coco] for index, coco in enumerate(self.coco_ids)}


def read_architecture(path: Path = ARCHITECTURE) -> Architecture:
    """
    Read the model description.

    :raises CheckpointError: if it is not there or its classes do not fit its outputs.
    """
    if not path.is_file():
        raise CheckpointError(path, 'not there; reinstall gsc_ros')
    config = yaml.safe_load(path.read_text())
    coco_ids = tuple(config.pop('coco_ids'))
    if config['nc'] != len(coco_ids):
        raise CheckpointError(path, f"nc is {config['nc']}, coco_ids has {len(coco_ids)} entries")
    return Architecture(config, coco_ids)


def build_yolo(architecture: Architecture | None = None) -> DetectionModel:
    """Build the embedded network with random weights, in training mode."""
    prepare_ultralytics()
    from ultralytics.nn.tasks import DetectionModel
    architecture = architecture or read_architecture()
    model = DetectionModel(dict(architecture.config), ch=3, verbose=False)
    model.names = architecture.names
    return model


def load_yolo(weights: Path = WEIGHTS) -> DetectionModel:
    """
    Build the embedded network with the weights of a safetensors file, ready to infer.

    :raises CheckpointError: if the file is missing or is not of this architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    if not weights.is_file():
        raise CheckpointError(weights, 'not there; reinstall gsc_ros or run: gsc train detector')
    model = build_yolo()
    try:
        state = {k: v.float() for k, v in load_file(str(weights)).items()}
        model.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(weights, str(error)) from error
    return model.eval()


def cache_folder() -> Path:
    """
    Folder of downloads and settings: in the user's cache, else in the temporary folder.

    Only one that nobody else can write into is taken: weights are unpickled. Where the one in the
    temporary folder is another user's, or open to others, a new one is made that ends with the
    process.
    """
    home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'gsc_ros'
    temporary = Path(tempfile.gettempdir()) / f'gsc_ros_{os.getuid()}'
    for folder, forbidden in ((home, 0o022), (temporary, 0o077)):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue   # a robot's root file system may be read-only
        if _is_own(folder, forbidden) and os.access(folder, os.W_OK):
            return folder
    return _fresh_folder()


def _is_own(folder: Path, forbidden: int) -> bool:
    """Whether a folder is the user's, no link, and without some permissions."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() \
        and not found.st_mode & forbidden


@functools.cache
def _fresh_folder() -> Path:
    folder = tempfile.mkdtemp(prefix='gsc_ros_')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def prepare_ultralytics() -> None:
    """
    Import ultralytics with its side effects shut off; variables that the user has set are kept.

    Nothing installs itself, settings stay in the cache folder, no network is touched (its import
    looks up host names and, online, reports usage), threads stay as they are.

    :raises MissingDependencyError: if ultralytics or torchvision is not installed.
    """
    os.environ.setdefault('YOLO_AUTOINSTALL', 'false')
    os.environ.setdefault('YOLO_VERBOSE', 'false')
    os.environ.setdefault('YOLO_CONFIG_DIR', str(cache_folder()))
    try:
        import_torchvision()
        # Its import sets OMP_NUM_THREADS=1 for good, which child processes would inherit.
        with _variable('OMP_NUM_THREADS'), _variable('YOLO_OFFLINE', 'true'):
            importlib.import_module('ultralytics')
    except ImportError as error:
        package = 'torchvision' if 'torchvision' in str(error) else 'ultralytics'
        raise MissingDependencyError(package, f'pip install {package}') from error


@contextmanager
def _variable(name: str, value: str | None = None) -> Iterator[None]:
    """Put an environment variable back on leaving; until then ``value``, unless set already."""
    before = os.environ.get(name)
    if before is None and value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
