"""``index.html``: the recorded pictures side by side, in one file beside the picture folder."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib import resources
import io
import json
from pathlib import Path
from typing import Any

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.demo.recording import CAMERA, DECODED, PLAIN
from gsc_ros.media.sources import read_picture
from PIL import Image

_MARK = '/*DATA*/null'
_THUMBNAIL_HEIGHT = 54


def titles(generate: str) -> dict[str, str]:
    """Headings of the three views for a decoder that regenerates 'always', 'never' or 'auto'."""
    last = 'regenerated' if generate == 'always' else 'output of the decoder'
    return {CAMERA: 'camera', PLAIN: 'decoded without generation', DECODED: last}


def write_page(lines: Sequence[dict[str, Any]], stats: dict[str, Any], folder: Path, *,
               lead: str, kbps: float, generate: str) -> Path:
    """
    Write ``index.html`` into ``folder``, which holds the pictures; works from file://.

    :param lead: one sentence that says what was run.
    :param kbps: limit of the link in 1000 bit/s.
    """
    data = {'pictures': [{**line, 'thumbnail': _thumbnail(line, folder)} for line in lines],
            'stats': stats, 'names': COCO_NAMES, 'titles': titles(generate), 'lead': lead,
            'kbps': f'{kbps:g} kbit/s'}
    template = (resources.files('gsc_ros') / 'assets' / 'demo_page.html').read_text()
    path = folder / 'index.html'
    # A caption that holds "</script>" must not end the script.
    path.write_text(template.replace(_MARK, json.dumps(data).replace('</', '<\\/'), 1))
    return path


def _thumbnail(line: dict[str, Any], folder: Path) -> str:
    """Picture as a data URL: a strip of files would load them all."""
    name = next(line['files'][v] for v in (DECODED, PLAIN) if v in line['files'])
    picture = Image.fromarray(read_picture(folder / name))
    picture.thumbnail((4 * _THUMBNAIL_HEIGHT, _THUMBNAIL_HEIGHT))
    stream = io.BytesIO()
    picture.save(stream, 'JPEG', quality=75)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode()
