"""A folder of packages that are broken in ways of their own, as if they were installed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.runs import REPOSITORY

HEALTHY = """
class AnnoyIndex:
    def __init__(self, *given): pass
    set_seed = add_item = build = lambda self, *given: None
    def get_nns_by_item(self, i, n, nodes): return sorted([i - 1, i, i + 1])
"""
MODULES = {
    "garbage": HEALTHY.replace("i - 1, i, i + 1", "0, 1, 2"),
    "aborting": "import os\nos.abort()\n",
    "hangs": "import time\nprint('soon')\ntime.sleep(600)\n",
    "leaves": "import os\nos._exit(0)\n",
    "exits": "raise SystemExit(0)\n",
    "loud": 'print(\'{"facts": {"all": "is well"}, "reason": ""}\')\nThing = None\n',
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


def folder_of(place: Path, *, annoy: str = "") -> str:
    """Make the folder, with an annoy of this kind; return the PYTHONPATH that begins with it."""
    for name, text in MODULES.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    if annoy:
        (place / "annoy.py").write_text(MODULES[annoy], encoding="utf-8")
    info = place / "sick-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sick\nVersion: 1.0\n")
    lines = [f"{name} = {name}:Thing" for name in BACKENDS]
    text = "\n".join(["[mindref.backends]", *lines, "[mindref.indexes]", "lost = missing:Thing"])
    (info / "entry_points.txt").write_text(text + "\n")
    return os.pathsep.join([str(place), str(REPOSITORY)])
