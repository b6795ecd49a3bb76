"""
Make the CMake exports of the ROS wheels point at this Python.

The wheels hard-code the include folders of the machine that built them, so interface packages do
not compile against them. Run with the virtual environment's Python, once after every install of
ROS wheels; running it again changes nothing.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys
import sysconfig

import numpy

_PYTHON = re.compile(r'/opt/python/cp3\d+-cp3\d+/include/python3\.\d+')
_NUMPY = re.compile(
    r'/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include')


def rewrite_exports(prefix: Path) -> int:
    """Rewrite every export below ``prefix``/share in place and return how many files changed."""
    python_include, numpy_include = sysconfig.get_path('include'), numpy.get_include()
    changed = 0
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        before = path.read_text(encoding='utf-8')
        after = _NUMPY.sub(lambda _: numpy_include, before)
        after = _PYTHON.sub(lambda _: python_include, after)
        if after != before:
            path.write_text(after, encoding='utf-8')
            changed += 1
    return changed


if __name__ == '__main__':
    print(f'{rewrite_exports(Path(sys.prefix))} CMake export files rewritten')
