"""Export of the user tower to ONNX, and reading of the file with ONNX Runtime.

Spec: specs/onnx.md. `mindref export` calls the functions. The graph is built from the arrays of the
model. The extra `onnx` installs the two packages that this exporter requires.

graph       nodes and constants by name
operators   softmax, squash, routing and ReLU layers as nodes
tower       the user tower of each family
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mindref.models import tower
from mindref.shapes import Array, Bools

FAMILIES = tower.FAMILIES
FILE = "user_tower.onnx"
NEEDS = ("onnx", "onnxruntime")
LARGEST = 2_000_000_000
"""Bytes of constants in one file. Protocol Buffers, the format of ONNX, ends at 2^31 bytes."""

RunTower = Callable[..., tuple[Array, Bools]]
"""Function from items (B, L), mask (B, L) and optional profile (B, G) to interests and active."""


def require(kind: str) -> dict[str, str]:
    """Return the versions of the packages. Raises ImportError if one is missing."""
    for name in NEEDS:
        importlib.import_module(name)
    return {name: metadata.version(name) for name in NEEDS}


def write(kind: str, parts: tower.UserTower, folder: Path) -> dict[str, object]:
    """Write the user tower into a folder; return the file, the versions of ONNX and the nodes.

    Constants of more than LARGEST bytes are written to a second file in the same folder.
    """
    from mindref.recommender.export.onnx.graph import IR_VERSION, OPSET
    from mindref.recommender.export.onnx.tower import tower_graph

    graph = tower_graph(parts)
    path = folder / FILE
    data = folder / f"{FILE}.data" if graph.nbytes > LARGEST else None  # onnx-R9
    path.write_bytes(graph.model(data).SerializeToString(deterministic=True))
    nodes = len(graph.nodes)
    return {"file": FILE, "opset": OPSET, "ir_version": IR_VERSION, "nodes": nodes}


def open_file(kind: str, path: Path) -> RunTower:
    """Return the tower of a file as a function of arrays, run by ONNX Runtime on the CPU."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        feed = dict(zip(names, arrays, strict=True))
        interests, active = session.run(["interests", "active"], feed)
        return interests, active

    return run
