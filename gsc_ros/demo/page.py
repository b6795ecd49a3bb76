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
               lead: str, radio: str, generate: str) -> Path:
    """
    Write ``index.html`` into ``folder``, which holds the pictures; works from file://.

    :param lead: one sentence that says what was run.
    :param radio: what the link can do, such as '8 kbit/s'.
    """
    data = {'pictures': [{**line, 'thumbnail': _thumbnail(line, folder)} for line in lines],
            'stats': stats, 'names': COCO_NAMES, 'titles': titles(generate), 'lead': lead,
            'radio': radio}
    template = (resources.files('gsc_ros') / 'assets' / 'demo_page.html').read_text()
    path = folder / 'index.html'
    path.write_text(template.replace(_MARK, _in_script(data), 1))
    return path


def _in_script(data: dict[str, Any]) -> str:
    """
    Write data as JSON that no browser takes for markup.

    In a script ``</script>`` ends it and ``<!--`` changes how it is read, wherever they stand.
    """
    text = json.dumps(data)
    for sign in '<>&':
        text = text.replace(sign, f'\\u{ord(sign):04x}')
    return text


def _thumbnail(line: dict[str, Any], folder: Path) -> str:
    """Picture as a data URL: a strip of files would load them all."""
    name = next(line['files'][v] for v in (DECODED, PLAIN) if v in line['files'])
    picture = Image.fromarray(read_picture(folder / name))
    picture.thumbnail((4 * _THUMBNAIL_HEIGHT, _THUMBNAIL_HEIGHT))
    stream = io.BytesIO()
    picture.save(stream, 'JPEG', quality=75)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode()
