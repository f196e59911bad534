"""Packages that are broken in different ways, installed into a folder."""

import os
from pathlib import Path

from tests.runs import REPOSITORY

HEALTHY = """
class AnnoyIndex:
    def __init__(self, *arguments): pass
    set_seed = add_item = build = lambda self, *arguments: None
    def get_nns_by_item(self, i, n, nodes): return sorted([i - 1, i, i + 1])
"""
MODULES = {
    "garbage": HEALTHY.replace("i - 1, i, i + 1", "0, 1, 2"),
    "aborting": "import os\nos.abort()\n",
    "hangs": "import time\nprint('soon')\ntime.sleep(600)\n",
    "leaves": "import os\nos._exit(0)\n",
    "exits": "raise SystemExit(0)\n",
    "loud": 'print(\'{"name": "", "state": "ok", "summary": "all is well"}\')\nThing = None\n',
    "wrong": """
from types import SimpleNamespace
from mindref import ops
from mindref.backend import Capabilities
class Thing:
    name = "wrong"
    ops = SimpleNamespace(squash=SimpleNamespace(forward=lambda x, *, kind: (x, None)))
    def capabilities(self): return Capabilities(("squash",))
    def to_numpy(self, x): return x
    from_numpy = to_numpy
""",
}
BACKENDS = ("hangs", "leaves", "exits", "loud", "wrong", "aborting", "missing")


def install_broken_packages(folder: Path, *, annoy: str = "") -> str:
    """Install the packages, optionally a broken annoy; return a PYTHONPATH with the folder."""
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    if annoy:
        (folder / "annoy.py").write_text(MODULES[annoy], encoding="utf-8")
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    lines = [f"{name} = {name}:Thing" for name in BACKENDS]
    text = "\n".join(["[mindref.backends]", *lines])
    (info / "entry_points.txt").write_text(text + "\n")
    return os.pathsep.join([str(folder), str(REPOSITORY)])
