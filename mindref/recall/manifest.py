"""What an index is: written beside it, and checked before anything of it is loaded.

Spec: specs/recall.md, recall-R15 to recall-R17. Annoy maps whatever file it is given, answers
wrongly or kills the process: so nothing is loaded whose sha256 is not the one written here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mindref import atomic
from mindref.errors import RunError, say
from mindref.shapes import Array

NAME = "manifest.json"
FORMAT = 2  # 2: seconds are those of a user, all told
TODO = "remove the index folder and build it again"


@dataclass(frozen=True)
class Manifest:
    """The facts of an index, as they stand in index/manifest.json."""

    format: int  # of this file
    kind: str  # exact or annoy
    metric: str  # always inner_product: what a result's score is
    dim: int  # D
    count: int  # N
    items_sha256: str  # of type, shape and bytes of the item vectors
    mindref: str  # version that built it
    warning: str | None = None  # why exact search stands in for Annoy
    figures: Mapping[str, float] | None = None  # seconds a user and recall, where measured
    file: str | None = None  # the rest: annoy only
    file_sha256: str | None = None
    annoy: str | None = None  # version that built it
    seed: int | None = None
    n_trees: int | None = None
    search_k: int | None = None  # nodes to look at for a list of `per` items
    per: int | None = None
    probed_recall: float | None = None  # share of the true `per` best that is found

    def write(self, directory: Path) -> None:
        """Write it, whole or not at all."""
        atomic.write_json(directory / NAME, asdict(self))


def read(directory: Path) -> Manifest:
    """Read a manifest and check that it is one. Raises RunError."""
    path = directory / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(say(str(path), "the manifest of an index", "no file", TODO)) from None
    except (OSError, ValueError) as error:
        raise RunError(say(str(path), "the manifest of an index", error, TODO)) from None
    names = [field.name for field in fields(Manifest)]
    if not isinstance(found, dict) or sorted(found) != sorted(names):
        got = sorted(set(found) ^ set(names)) if isinstance(found, dict) else type(found).__name__
        raise RunError(say(str(path), f"exactly the fields {', '.join(names)}", got, TODO))
    return Manifest(**found)


def verify(directory: Path, items: Array) -> Manifest:
    """Return the manifest of an index that fits these item vectors and whose file is whole.

    Raises RunError that names the file, what was expected, what came, and what to do.
    """
    manifest = read(directory)
    path = directory / NAME
    facts: list[tuple[str, Any, Any]] = [  # recall-R15
        ("format", manifest.format, FORMAT),
        ("metric", manifest.metric, "inner_product"),
        ("dim", manifest.dim, items.shape[1]),
        ("count", manifest.count, len(items)),
        ("items_sha256", manifest.items_sha256, digest(items)),
    ]
    for name, got, expected in facts:
        if got != expected:
            raise RunError(say(f"{path}: {name}", repr(expected), repr(got), TODO))
    if manifest.kind not in ("exact", "annoy"):
        raise RunError(say(f"{path}: kind", "exact or annoy", repr(manifest.kind), TODO))
    return manifest


def verify_trees(directory: Path, manifest: Manifest, installed: str) -> Path:
    """Return the path of the file of trees, if it is the very file that was written.

    Raises RunError, also for another version of Annoy, whose files are laid out differently.
    """
    if manifest.annoy != installed:  # recall-R17
        where = f"{directory / NAME}: annoy"
        raise RunError(say(where, f"version {installed}", repr(manifest.annoy), TODO))
    path = directory / Path(str(manifest.file)).name  # never outside the directory
    if not path.is_file():
        raise RunError(say(str(path), "the trees of the index", "no file", TODO))
    got = file_digest(path)
    if got != manifest.file_sha256:  # recall-R16
        raise RunError(say(str(path), f"sha256 {manifest.file_sha256}", got, TODO))
    for name in ("search_k", "per"):
        value = getattr(manifest, name)
        if not isinstance(value, int) or value < 1:
            where = f"{directory / NAME}: {name}"
            raise RunError(say(where, "an integer of at least 1", repr(value), TODO))
    return path


def digest(items: Array) -> str:
    """Return the sha256 of type, shape and bytes of an array, the same on every machine."""
    little = np.ascontiguousarray(items, dtype=items.dtype.newbyteorder("<"))
    head = f"{items.dtype.name} {items.shape}".encode()
    return hashlib.sha256(head + little.tobytes()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
