"""What an index is: written beside it, and checked before anything of it is loaded.

Spec: specs/recall.md, recall-R15 to recall-R17. Libraries map whatever file they are given, answer
wrongly or kill the process: so nothing is loaded whose sha256 is not the one written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mindref.errors import RunError, say
from mindref.recall.mark import is_ours, named
from mindref.recall.registry import kinds
from mindref.run import files
from mindref.shapes import Array

NAME = "manifest.json"
FORMAT = 4  # 3: indexes of plugins; 4: it has a digest of itself
WHAT = "the manifest of an index"
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
    file_bytes: int | None = None
    version: str | None = None  # of the library that built it
    seed: int | None = None
    options: Mapping[str, int] | None = None  # that it was built with
    effort: int | None = None  # of a search for 50 items
    probed_recall: float | None = None  # share of the true 50 best that is found
    mark: str | None = None  # of the user who built it

    def write(self, directory: Path) -> None:
        """Write it, whole or not at all."""
        files.write_sealed(directory / NAME, asdict(self))


NONE = type(None)
KINDS: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "dim": int,
    "count": int,
    "why": (str, NONE),
    "warning": (str, NONE),
    "figures": (dict, NONE),
    "tried": (dict, NONE),
    "file": (str, NONE),
    "effort": (int, NONE),
    "probed_recall": (int, float, NONE),
}
"""The types of what is used of a manifest, beside what is compared anyhow."""


def read(directory: Path) -> Manifest:
    """Read a manifest and check that it is one. Raises RunError."""
    path = directory / NAME
    try:
        found = files.read_json(path, WHAT, TODO)
    except FileNotFoundError:
        raise RunError(say(str(path), WHAT, "no file", TODO)) from None
    if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:  # recall-R15
        got = repr(found["format"])
        raise RunError(say(f"{path}: format", repr(FORMAT), got, TODO))
    words = files.unsealed(path, found, WHAT, TODO)  # security-R1
    names = [field.name for field in fields(Manifest)]
    if sorted(words) != sorted(names):
        others = sorted(set(words) ^ set(names))
        raise RunError(say(str(path), f"exactly the fields {', '.join(names)}", others, TODO))
    for name, kinds_of in KINDS.items():
        if not isinstance(words[name], kinds_of) or isinstance(words[name], bool):
            raise RunError(say(f"{path}: {name}", "what a manifest holds", repr(words[name]), TODO))
    return Manifest(**words)


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
    """Return the path of the file of an index, if it is the very file that this user built.

    Raises RunError, also for another version of its library, whose files are laid out differently.
    """
    if manifest.version != version:  # recall-R17
        where = f"{directory / NAME}: version"
        raise RunError(say(where, repr(version), repr(manifest.version), TODO))
    path = directory / Path(str(manifest.file)).name  # never outside the directory
    if not is_ours(marked(manifest), manifest.mark):  # security-R11
        expected, got = "an index that you built", "one by somebody else, or by another key"
        raise RunError(say(str(path), f"{expected}, with {named()}", got, TODO))
    known = manifest.file_sha256, manifest.file_bytes
    files.check_bytes(path, *known, "the file of the index", TODO)  # recall-R16
    if not isinstance(manifest.effort, int) or manifest.effort < 1:
        where = f"{directory / NAME}: effort"
        raise RunError(say(where, "an integer of at least 1", repr(manifest.effort), TODO))
    return path


def marked(manifest: Manifest) -> dict[str, Any]:
    """Return the facts on which the user puts a mark."""
    names = ("kind", "file_sha256", "version", "dim", "count")
    return {name: getattr(manifest, name) for name in names}


def digest(items: Array) -> str:
    """Return the sha256 of type, shape and bytes of an array, the same on every machine."""
    little = np.ascontiguousarray(items, dtype=items.dtype.newbyteorder("<"))
    head = f"{items.dtype.name} {items.shape}".encode()
    digest = hashlib.sha256(head)
    digest.update(little.reshape(-1).view(np.uint8).data)  # no copy: a catalogue may be large
    return digest.hexdigest()
