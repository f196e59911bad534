"""The manifest of an index, checked before the index file is loaded.

Spec: specs/recall.md, recall-R15 to recall-R17. For a damaged file, a library may return wrong
results or kill the process. So a file is loaded only if its sha256 is that of the manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mindref import __version__
from mindref.errors import RunError, say
from mindref.recall.signature import describe_key, verify_signature
from mindref.run import files
from mindref.run.stored_json import InvalidValue, decode
from mindref.shapes import Array

NAME = "manifest.json"
FORMAT = 4  # 3: indexes of plugins; 4: digest of the manifest
TODO = "remove the index folder and build it again"
METRIC = "inner_product"


@dataclass(frozen=True)
class Manifest:
    """The content of index/manifest.json."""

    format: int  # of this file
    kind: str  # exact or the name of a plugin
    metric: str  # always METRIC
    dim: int  # D
    count: int  # N
    items_sha256: str  # of dtype, shape and bytes of the item vectors
    mindref: str  # version that built it
    choice_reason: str | None = None  # why `auto` chose this kind
    warning: str | None = None  # why exact search replaces a plugin, or that recall is low
    figures: dict[str, float] | None = None  # seconds per user and recall, if measured
    tried_versions: dict[str, str] | None = None  # versions of the plugins that `auto` tried
    file: str | None = None  # this field and all below: of plugins only
    file_sha256: str | None = None
    file_bytes: int | None = None
    version: str | None = None  # of the library that built it
    seed: int | None = None
    effort: int | None = None  # of a search for 50 items
    probed_recall: float | None = None  # fraction of the true top 50 that is found
    signature: str | None = None  # of the user who built it

    def write(self, directory: Path) -> None:
        """Write the manifest atomically."""
        files.write_sealed(directory / NAME, asdict(self))


def new_manifest(kind: str, items: Array) -> Manifest:
    """Return the manifest of an index over these vectors, without the fields of plugins."""
    return Manifest(
        format=FORMAT,
        kind=kind,
        metric=METRIC,
        dim=items.shape[1],
        count=len(items),
        items_sha256=array_digest(items),
        mindref=__version__,
    )


def read_manifest(directory: Path) -> Manifest:
    """Return a manifest after checking its digest and fields. Raises RunError."""
    stored = files.StoredFile(directory / NAME, "the manifest of an index", TODO)
    with stored.explain_errors(missing="no file"):
        content = stored.read_json()
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:  # recall-R15
        location = f"{stored.path}: format"
        raise RunError(say(location, str(FORMAT), repr(content["format"]), TODO))
    values = stored.unseal(content)  # security-R1
    try:
        return decode(values, Manifest)
    except InvalidValue as error:
        raise RunError(error.message(stored.path, TODO)) from None


def check_vectors(directory: Path, manifest: Manifest, items: Array) -> None:
    """Raise RunError unless a manifest is of an index over these item vectors."""
    facts: list[tuple[str, object, object]] = [  # recall-R15
        ("metric", manifest.metric, METRIC),
        ("dim", manifest.dim, items.shape[1]),
        ("count", manifest.count, len(items)),
        ("items_sha256", manifest.items_sha256, array_digest(items)),
    ]
    for name, got, expected in facts:
        if got != expected:
            raise RunError(say(f"{directory / NAME}: {name}", repr(expected), repr(got), TODO))


def check_index_file(directory: Path, manifest: Manifest, version: str) -> Path:
    """Return the path of the index file, if this user built this file.

    Raises RunError, also for another version of the library, whose files may differ in format.
    """
    if manifest.version != version:  # recall-R17
        location = f"{directory / NAME}: version"
        raise RunError(say(location, repr(version), repr(manifest.version), TODO))
    path = directory / Path(str(manifest.file)).name  # never outside the directory
    if not verify_signature(signed_facts(manifest), manifest.signature):  # security-R11
        expected, got = "an index that you built", "an index of another user or another key"
        raise RunError(say(str(path), f"{expected}, with {describe_key()}", got, TODO))
    stored = files.StoredFile(path, "the file of the index", TODO)
    stored.check_bytes(manifest.file_sha256, manifest.file_bytes)  # recall-R16
    if not isinstance(manifest.effort, int) or manifest.effort < 1:
        location = f"{directory / NAME}: effort"
        raise RunError(say(location, "an integer of at least 1", repr(manifest.effort), TODO))
    return path


def signed_facts(manifest: Manifest) -> dict[str, Any]:
    """Return the fields that the signature covers."""
    names = ("kind", "file_sha256", "version", "dim", "count")
    return {name: getattr(manifest, name) for name in names}


def array_digest(items: Array) -> str:
    """Return the sha256 of dtype, shape and bytes of an array, the same on every machine."""
    little = np.ascontiguousarray(items, dtype=items.dtype.newbyteorder("<"))
    head = f"{items.dtype.name} {items.shape}".encode()
    digest = hashlib.sha256(head)
    digest.update(little.reshape(-1).view(np.uint8).data)  # no copy: a catalogue may be large
    return digest.hexdigest()
