"""Export of the user tower to torch.export files, and reading these files.

`mindref export --to torch` calls the functions. Spec: specs/model.md (serving). ONNX files do not
need this package.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from mindref.models.tower import UserTower
from mindref.run import atomic
from mindref.shapes import Array, Bools
from mindref_torch.tower import Tower

FAMILIES = ("mind", "mind_plus")
FILE = "user_tower.pt2"

RunTower = Callable[..., tuple[Array, Bools]]
"""Function from items (B, L), mask (B, L) and optional profile (B, G) to interests and active."""


def require(kind: str) -> dict[str, str]:
    """Return the version of PyTorch."""
    return {"torch": metadata.version("torch")}


def write(kind: str, user_tower: UserTower, folder: Path) -> dict[str, str]:
    """Write the user tower into a folder; return the name of its file.

    The numbers of users and of behaviours are dynamic and may be zero.
    """
    buffer = io.BytesIO()  # PyTorch ends the process if it cannot write a file (faults-R1)
    with silence_exporters():
        torch.export.save(trace_tower(user_tower), buffer)
    atomic.write_bytes(folder / FILE, buffer.getvalue())
    return {"file": FILE}


def trace_tower(user_tower: UserTower) -> ExportedProgram:
    """Return the exported program of a tower, without paths of this machine."""
    users, length = 2, 3  # PyTorch treats 0 and 1 as constants
    items = torch.zeros(users, length, dtype=torch.int64)
    sizes = {name: Dim(name, min=0) for name in ("batch", "length")}
    sequence = {0: sizes["batch"], 1: sizes["length"]}
    example, shapes = [items, items == 0], [sequence, sequence]
    if user_tower.features:
        example.append(torch.zeros(users, user_tower.features, dtype=torch.int64))
        shapes.append({0: sizes["batch"]})
    tower = Tower(user_tower).eval()
    program = torch.export.export(tower, tuple(example), dynamic_shapes=tuple(shapes))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def open_file(kind: str, path: Path) -> RunTower:
    """Return the tower of a file as a function of arrays on the CPU."""
    with silence_exporters():
        tower = torch.export.load(path).module()

    def run(*arrays: Array) -> tuple[Array, Bools]:
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
