"""The command line of a child process that imports the same mindref as its parent."""

from __future__ import annotations

import os
import sys

import mindref

# -P: the current folder is not on the import path, so its modules cannot shadow libraries.
# The folder of mindref is on the path only while mindref is imported
BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import mindref
del sys.path[0]
from importlib import import_module
import_module(sys.argv.pop(1)).main(*sys.argv[1:])
"""
IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(mindref.__file__)))
"""Path without resolved links, because Numba looks up its cache by the path of the source."""


def child_command(module: str, *words: str) -> list[str]:
    """Return the command that calls `main(*words)` of a mindref module."""
    return [sys.executable, "-P", "-c", BOOTSTRAP, IMPORT_ROOT, module, *words]
