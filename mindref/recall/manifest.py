"""What an index is: written beside it, and checked before anything of it is loaded.

Spec: specs/recall.md, recall-R15 to recall-R17. Libraries map whatever file they are given, answer
wrongly or kill the process: so nothing is loaded whose sha256 is not the one written here.
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
from mindref.recall.registry import kinds
from mindref.shapes import Array

NAME = "manifest.json"
FORMAT = 3  # 2: seconds are those of a user, all told; 3: indexes of plugins
TODO = "remove the index folder and build it again"


@dataclass(frozen=True)
class Manifest:
    """The facts of an index, as they stand in index/manifest.json."""

    format: int  # of this file
    kind: str  # exact or the name of a plugin
    metric: str  # always inner_product: what a result's score is
    dim: int  # D
    count: int  # N
    items_sha256: str  # of type, shape and bytes of the item vectors
    mindref: str  # version that built it
    why: str | None = None  # what `auto` goes by
    warning: str | None = None  # why exact search stands in, or that too little is found
    figures: Mapping[str, float] | None = None  # seconds a user and recall, where measured
    tried: Mapping[str, str] | None = None  # versions of the plugins that `auto` looked at
    file: str | None = None  # the rest: of plugins only
    file_sha256: str | None = None
    version: str | None = None  # of the library that built it
    seed: int | None = None
    options: Mapping[str, int] | None = None  # that it was built with
    effort: int | None = None  # of a search for 50 items
    probed_recall: float | None = None  # share of the true 50 best that is found

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
    """Return the manifest of an index that fits these item vectors, of a kind that is known here.

    Raises RunError that names the file, what was expected, what came, and what to do.
    """
    manifest = read_fitting(directory, items)
    if manifest.kind not in kinds()[1:]:  # all but `auto`
        expected = " or ".join(kinds()[1:])
        where = f"{directory / NAME}: kind"
        raise RunError(say(where, expected, repr(manifest.kind), TODO))
    return manifest


def read_fitting(directory: Path, items: Array) -> Manifest:
    """Return the manifest of an index that fits these vectors, of any kind. Raises RunError."""
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
    return manifest


def verify_file(directory: Path, manifest: Manifest, version: str) -> Path:
    """Return the path of the file of an index, if it is the very file that was written.

    Raises RunError, also for another version of its library, whose files are laid out differently.
    """
    if manifest.version != version:  # recall-R17
        where = f"{directory / NAME}: version"
        raise RunError(say(where, repr(version), repr(manifest.version), TODO))
    path = directory / Path(str(manifest.file)).name  # never outside the directory
    if not path.is_file():
        raise RunError(say(str(path), "the file of the index", "no file", TODO))
    got = file_digest(path)
    if got != manifest.file_sha256:  # recall-R16
        raise RunError(say(str(path), f"sha256 {manifest.file_sha256}", got, TODO))
    if not isinstance(manifest.effort, int) or manifest.effort < 1:
        where = f"{directory / NAME}: effort"
        raise RunError(say(where, "an integer of at least 1", repr(manifest.effort), TODO))
    return path


def digest(items: Array) -> str:
    """Return the sha256 of type, shape and bytes of an array, the same on every machine."""
    little = np.ascontiguousarray(items, dtype=items.dtype.newbyteorder("<"))
    head = f"{items.dtype.name} {items.shape}".encode()
    digest = hashlib.sha256(head)
    digest.update(little.reshape(-1).view(np.uint8).data)  # no copy: a catalogue may be large
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
