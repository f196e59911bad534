"""The index of a run: opened if it is intact and matches the model, else built.

Spec: specs/recall.md; specs/security.md, security-R10, R11.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mindref.errors import BackendError, ConfigError, RunError, say
from mindref.recall import ExactIndex, Index, build_index, registry
from mindref.recall.build import MIN_MEASURED_ITEMS, open_checked_index
from mindref.recall.manifest import NAME, TODO, Manifest, check_vectors, read_manifest
from mindref.recall.signature import KEY, make_key, read_key
from mindref.run import lock
from mindref.shapes import Array

EXACT = "No index is kept, and search is exact"


def open_or_build(
    folder: Path,
    kind: str,
    vectors: Array,
    draw_queries: Callable[[], Array],
    *,
    seed: int,
    interests: int,
    notes: list[str],
) -> Index:
    """Return the index of a run: the one in the folder if it matches, else a new one.

    vectors: item vectors (N, D). draw_queries: interests (M, D) that the index is tuned with.
    notes: receives a line if the existing index is damaged or was built by another user. Raises
    BackendError if `auto` finds a matching index of a kind that cannot be loaded here.
    """
    # without an index, or with a damaged one or one of another model: build, and replace it
    index, reason = matching_index(folder, vectors, kind)
    if index is not None:
        return index
    if why := why_unusable(folder, reason):
        return ExactIndex(vectors, f"{why}. {EXACT}")
    if reason:
        notes.append(f"{reason}; it is built again")
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock.lock_inside(folder, wait=True) as warning:  # commands that start together wait
            if warning:
                notes.append(warning)
            if (index := matching_index(folder, vectors, kind)[0]) is not None:
                return index  # another process has built it
            return build_index(
                vectors, draw_queries(), directory=folder, kind=kind, seed=seed, interests=interests
            )
    except RunError as error:  # such as a run that can only be read: search needs no file
        return ExactIndex(vectors, f"{error}. {EXACT}")


def why_unusable(folder: Path, reason: str) -> str:
    """Return why an index built now could not be opened later; empty if it could.

    A build takes minutes, so an index that cannot be kept is not built. reason: why the index in
    the folder is not opened. Raises ConfigError for a key that is too short.
    """
    key = read_key()  # raises for a short key now, and not when the index is written
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK):
        why = reason or say(str(folder), "a folder that can be written", "one to be read only")
    elif reason and key is None and make_key() is None:  # security-R11
        why = f"{reason}; there is no key to build another with"
    else:
        return ""
    return f"{why}; set {KEY} to one file for all machines" if reason else why


def matching_index(folder: Path, vectors: Array, kind: str) -> tuple[Index | None, str]:
    """Return the index of the folder if it is intact, of these vectors and of the requested kind.

    Else None, with a line if the index is damaged or was built by another user.
    """
    try:
        manifest = read_manifest(folder)
    except RunError as error:
        is_damaged = (folder / NAME).exists()
        return None, str(error).removesuffix(f"; {TODO}") if is_damaged else ""
    try:
        check_vectors(folder, manifest, vectors)
    except RunError:  # of an older model
        return None, ""
    if kind == "auto" and manifest.kind != "exact":
        check_loadable(folder, manifest.kind)
    try:
        index = open_checked_index(folder, manifest, vectors)
    except BackendError:
        return None, ""
    except RunError as error:
        return None, str(error).removesuffix(f"; {TODO}")
    # compare the manifest, not the index: where a plugin does not work, exact search replaces an
    # index in memory that other machines may use, and its files stay
    return (index if is_requested(kind, manifest, len(vectors)) else None), ""


def check_loadable(folder: Path, kind: str) -> None:
    """Raise BackendError if a kind cannot be loaded here.

    Another machine may share the folder: its index is not replaced by a worse one.
    """
    try:
        registry.load_plugin(kind)
    except (ConfigError, BackendError) as error:
        todo = f"{registry.install_command(kind)}, or search with --index exact"
        expected = f"a kind that can be loaded here, or {kind} installed"
        got = f"an index by {kind} ({error})"
        raise BackendError(say(str(folder), expected, got, todo)) from error


def is_requested(kind: str, manifest: Manifest, items: int) -> bool:
    """Return whether an index is of the requested kind; `auto` accepts an up-to-date measurement.

    `auto` must have measured every kind and version that it would measure here. It may have
    measured more: a machine without a plugin does not replace the index of another.
    """
    if kind != "auto":
        return manifest.kind == kind
    if manifest.kind == "exact" and items < MIN_MEASURED_ITEMS:
        return True
    if manifest.choice_reason is None:
        return False
    tried = manifest.tried_versions  # None: exact search was fast enough
    return tried is None or registry.auto_versions(manifest.kind).items() <= tried.items()
