"""Export of the user tower to ONNX or torch.export files, and reading these files.

`mindref export` calls both. ONNX needs the extra `export` of this package.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from mindref.models.tower import UserTower
from mindref.shapes import Array, Bools
from mindref_torch.tower import Tower

FILES = {"onnx": "user_tower.onnx", "torch": "user_tower.pt2"}
NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}
INPUTS, OUTPUTS = ("items", "mask", "profile"), ("interests", "active")
OPSET = 18
"""The native opset of the PyTorch exporter; runtimes of 2023 can read it."""

RunTower = Callable[..., tuple[Array, Bools]]
"""Function from items (B, L), mask (B, L) and optional profile (B, G) to interests and active."""


def require(kind: str) -> dict[str, str]:
    """Return the versions of the packages of a kind. Raises ImportError if one is missing."""
    for name in NEEDS[kind]:
        importlib.import_module(name)
    return {name: metadata.version(name) for name in ("torch", *NEEDS[kind])}


def write(kind: str, user_tower: UserTower, folder: Path) -> dict[str, Any]:
    """Write the user tower into a folder; return the name of its file and the ONNX opset.

    The numbers of users and of behaviours are dynamic and may be zero. An ONNX model beyond 2 GB
    has a second file in the same folder.
    """
    path = folder / FILES[kind]
    with silence_exporters():
        program = trace_tower(user_tower)
        if kind == "torch":
            torch.export.save(program, path)
            return {"file": path.name}
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            dynamic_shapes=dynamic_axes(user_tower),  # names of the axes in the file
            input_names=INPUTS[: num_inputs(user_tower)],
            output_names=OUTPUTS,
            opset_version=OPSET,
            verbose=False,
        )
        for node in onnx_program.model.graph.all_nodes():
            node.metadata_props.clear()  # contains lines of the source
        onnx_program.save(path)
    return {"file": path.name, "opset": OPSET}


def trace_tower(user_tower: UserTower) -> ExportedProgram:
    """Return the exported program of a tower, without paths of this machine."""
    users, length = 2, 3  # PyTorch treats 0 and 1 as constants
    items = torch.zeros(users, length, dtype=torch.int64)
    example = (items, items == 0, torch.zeros(users, user_tower.features, dtype=torch.int64))
    sizes = {name: Dim(name, min=0) for name in ("batch", "length")}
    shapes = tuple(
        {axis: sizes[name] for axis, name in each.items()} for each in dynamic_axes(user_tower)
    )
    tower = Tower(user_tower).eval()
    program = torch.export.export(tower, example[: num_inputs(user_tower)], dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def num_inputs(user_tower: UserTower) -> int:
    """Return the number of inputs; the profile is absent without user features."""
    return len(INPUTS) if user_tower.features else len(INPUTS) - 1


def dynamic_axes(user_tower: UserTower) -> tuple[dict[int, str], ...]:
    """Return the names of the dynamic axes of each input."""
    axes = {0: "batch", 1: "length"}, {0: "batch", 1: "length"}, {0: "batch"}
    return axes[: num_inputs(user_tower)]


def open_file(kind: str, path: Path) -> RunTower:
    """Return the tower of a file as a function of arrays on the CPU."""
    return open_onnx(path) if kind == "onnx" else open_torch(path)


def open_onnx(path: Path) -> RunTower:
    """Return the tower of an ONNX file, run by ONNX Runtime."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        interests, active = session.run(OUTPUTS, dict(zip(INPUTS, arrays, strict=False)))
        return interests, active

    return run


def open_torch(path: Path) -> RunTower:
    """Return the tower of a torch.export file."""
    with silence_exporters():
        tower = torch.export.load(path).module()

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        with torch.no_grad():
            interests, active = tower(*map(torch.tensor, arrays))
        return interests.numpy(), active.numpy()

    return run


@contextmanager
def silence_exporters() -> Iterator[None]:
    """Suppress log messages and warnings of the exporters about their internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
