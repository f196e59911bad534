"""The docstring of the package leads through its rooms, and through all of them."""

from __future__ import annotations

import re
from pathlib import Path

import mindref.study

FOLDER = Path(mindref.study.__file__).parent


def test_the_package_docstring_lists_every_module() -> None:
    told = set(re.findall(r"[a-z_]+", mindref.study.__doc__ or ""))
    there = {path.stem for path in FOLDER.iterdir() if path.suffix == ".py"}
    there |= {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert there - {"__init__"} <= told
