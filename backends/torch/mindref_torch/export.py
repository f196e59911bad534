"""Files of a user tower: ONNX, and what torch.export saves; written, and opened to be checked.

`mindref export` asks for both. ONNX needs the extra `export` of this package.
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
"""The one that PyTorch's translations are written in: nothing is converted, and runtimes of 2023
read it."""

Run = Callable[..., tuple[Array, Bools]]
"""Arrays items (B, L), mask (B, L) and profile (B, G), if there is one, to interests and active."""


def require(kind: str) -> dict[str, str]:
    """Return the versions of what a kind of file needs. Raises ImportError for what is missing."""
    for name in NEEDS[kind]:
        importlib.import_module(name)
    return {name: metadata.version(name) for name in ("torch", *NEEDS[kind])}


def write(kind: str, parts: UserTower, folder: Path) -> dict[str, Any]:
    """Write the user tower into a folder; return the name of its file, and the opset of ONNX.

    Users and places are of any number, none included. A model beyond 2 GB has a second file of
    ONNX, which belongs beside the first one.
    """
    path = folder / FILES[kind]
    with quiet():
        program = traced(parts)
        if kind == "torch":
            torch.export.save(program, path)
            return {"file": path.name}
        made = torch.onnx.export(
            program,
            dynamo=True,
            dynamic_shapes=axes(parts),  # for the names in the file
            input_names=INPUTS[: inputs(parts)],
            output_names=OUTPUTS,
            opset_version=OPSET,
            verbose=False,
        )
        for node in made.model.graph.all_nodes():
            node.metadata_props.clear()  # they name the lines of the source
        made.save(path)
    return {"file": path.name, "opset": OPSET}


def traced(parts: UserTower) -> ExportedProgram:
    """Return the program of a tower, without the folders of this machine, which its nodes name."""
    users, places = 2, 3  # not 0 or 1, which PyTorch takes for constants
    items = torch.zeros(users, places, dtype=torch.int64)
    given = (items, items == 0, torch.zeros(users, parts.features, dtype=torch.int64))
    sizes = {name: Dim(name, min=0) for name in ("batch", "length")}
    shapes = tuple({axis: sizes[name] for axis, name in each.items()} for each in axes(parts))
    tower = Tower(parts).eval()
    program = torch.export.export(tower, given[: inputs(parts)], dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def inputs(parts: UserTower) -> int:
    """Return the number of inputs: without user features there is no profile."""
    return len(INPUTS) if parts.features else len(INPUTS) - 1


def axes(parts: UserTower) -> tuple[dict[int, str], ...]:
    """Return the axes of each input that may have any size, by name."""
    named = {0: "batch", 1: "length"}, {0: "batch", 1: "length"}, {0: "batch"}
    return named[: inputs(parts)]


def open_file(kind: str, path: Path) -> Run:
    """Return the tower of a file as a function from arrays to arrays, on the CPU."""
    return open_onnx(path) if kind == "onnx" else open_torch(path)


def open_onnx(path: Path) -> Run:
    """Return the tower of a file of ONNX, run by ONNX Runtime."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        interests, active = session.run(OUTPUTS, dict(zip(INPUTS, arrays, strict=False)))
        return interests, active

    return run


def open_torch(path: Path) -> Run:
    """Return the tower of a file of torch.export."""
    with quiet():
        tower = torch.export.load(path).module()

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        with torch.no_grad():
            interests, active = tower(*map(torch.tensor, arrays))
        return interests.numpy(), active.numpy()

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what the exporters say of their own insides: nobody here can mend it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
