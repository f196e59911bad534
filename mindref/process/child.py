"""How a process of ours starts another one that has the same mindref."""

from __future__ import annotations

import os
import sys

import mindref

# -P: no module of the folder we stand in takes the place of a library. mindref itself is the one
# that asks, wherever it lies; its folder does not stay on the path
BEGIN = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import mindref
del sys.path[0]
from importlib import import_module
import_module(sys.argv.pop(1)).main(*sys.argv[1:])
"""
PLACE = os.path.dirname(os.path.dirname(os.path.abspath(mindref.__file__)))
"""Through the same links as ours: what Numba keeps is found under the path that it was kept by."""


def command(module: str, *words: str) -> list[str]:
    """Return the command that calls `main` of a module of mindref with these words."""
    return [sys.executable, "-P", "-c", BEGIN, PLACE, module, *words]
