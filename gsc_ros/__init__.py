"""Generative semantic coding of robot cameras for links too thin for video."""
from importlib.metadata import version
from pathlib import Path
import re


def _version() -> str:
    """Version in package.xml beside a checkout, else that of the installed package."""
    manifest = Path(__file__).resolve().parents[1] / 'package.xml'
    if manifest.is_file():
        found = re.search(r'<version>(.+)</version>', manifest.read_text(encoding='utf-8'))
        if found:
            return found[1]
    return version('gsc_ros')


__version__ = _version()
