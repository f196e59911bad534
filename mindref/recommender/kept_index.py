"""The index of a run: the one that is there if it is whole and fits, or one that is built now.

Spec: specs/recall.md; specs/security.md, security-R10, R11.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import Ragged
from mindref.data.streams import stream
from mindref.errors import BackendError, ConfigError, RunError, say
from mindref.models.serving import interests
from mindref.recall import ExactIndex, Index, build_index, open_index, registry
from mindref.recall.build import MEASURED_FROM
from mindref.recall.manifest import NAME, TODO, Manifest, read, read_fitting
from mindref.recall.mark import KEY, make_key, read_key
from mindref.recommender.served import Served
from mindref.run import lock
from mindref.shapes import Array

PROBED = 256  # made-up users, as many as an index is timed with
EXACT = "No index is kept, and search is exact"


def index_of(served: Served, folder: Path, kind: str, told: list[str] | None = None) -> Index:
    """Return the index of a run, built now unless one that fits is there.

    told: takes a line where one that is there is damaged, or was built by somebody else.
    Raises BackendError where `auto` finds one that fits, of a kind that cannot be loaded here.
    """
    if served.by_scores:  # nothing that an index could search
        if kind not in ("auto", "exact"):
            got = f"{kind}, and a model of scores alone"
            raise ConfigError(say("--index", "auto or exact", got))
        return ExactIndex(np.zeros((len(served.items.ids), 0), served.model.config.dtype))
    vectors = served.item_vectors
    if kind == "exact":
        return ExactIndex(vectors)  # one that took minutes to build stays for the next time
    # none yet, of another model, or damaged: built anew, and the old one is replaced
    found, reason = fitting(folder, vectors, kind)
    if found is not None:
        return found
    if why := hindrance(folder, reason):
        return ExactIndex(vectors, f"{why}. {EXACT}")
    if reason and told is not None:
        told.append(f"{reason}; it is built again")
    seed, count = served.model.config.seed, served.model.config.interests
    try:
        with building(folder) as said:
            if said and told is not None:
                told.append(said)
            if (index := fitting(folder, vectors, kind)[0]) is not None:  # another process was here
                return index
            some = probes(served)
            more: Any = {"directory": folder, "kind": kind, "seed": seed, "interests": count}
            return build_index(vectors, some, **more)
    except RunError as error:  # a run that can be read only, say: what is asked for needs no file
        return ExactIndex(vectors, f"{error}. {EXACT}")


def hindrance(folder: Path, reason: str) -> str:
    """Return why an index that is built now could not be opened later; nothing if it could.

    To build one takes minutes: not at each question, only to be thrown away. reason: why the one
    that is there is not opened, which others may open.
    Raises ConfigError for a key that is too short.
    """
    known = read_key()  # one that is too short is told now, and not when the index is written
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK):
        why = reason or say(str(folder), "a folder that can be written", "one to be read only")
    elif reason and known is None and make_key() is None:  # security-R11
        why = f"{reason}; there is no key to build another with"
    else:
        return ""
    return f"{why}; set {KEY} to one file for all machines" if reason else why


def fitting(folder: Path, vectors: Array, kind: str) -> tuple[Index | None, str]:
    """Return the index that is there, if it is whole, of these vectors and what is asked for.

    Else None, and a line if there is one that is damaged or somebody else's.
    """
    try:
        index = open_index(folder, vectors)
        found = read(folder)
    except (RunError, BackendError) as error:
        if kind == "auto":
            check_loadable(folder, vectors)
        return None, of_damage(folder, vectors, error)
    # of the manifest, not of the index: where a plugin does not work, exact search stands in for an
    # index that may serve other machines, and is not replaced
    return (index if answers(kind, found.kind, found, len(vectors)) else None), ""


def of_damage(folder: Path, vectors: Array, error: Exception) -> str:
    """Return a line on an index that cannot be opened; none is due to one of an older model."""
    if not isinstance(error, RunError) or not (folder / NAME).exists():
        return ""
    with suppress(RunError):
        read(folder)
        try:
            read_fitting(folder, vectors)
        except RunError:  # trained on since
            return ""
    return str(error).removesuffix(f"; {TODO}")


def check_loadable(folder: Path, vectors: Array) -> None:
    """Raise BackendError if the index that is there fits, but nothing here can load its kind.

    Another machine may share the folder: its index is not replaced by one that is worse.
    """
    try:
        kind = read_fitting(folder, vectors).kind
    except RunError:
        return
    if not isinstance(kind, str) or kind == "exact":
        return
    try:
        registry.load(kind)
    except (ConfigError, BackendError) as error:
        hint = registry.HINTS.get(kind, f"install the package of the index {kind}")
        todo = f"{hint}, or search with --index exact"
        where, expected = f"{folder}", f"a kind that can be loaded here, or {kind} installed"
        raise BackendError(say(where, expected, f"an index by {kind} ({error})", todo)) from error


@contextmanager
def building(folder: Path) -> Iterator[str]:
    """Let one process at a time build: shares of the users are begun together, and want one index.

    Nobody waits where the system has no such locks, or where nothing can be written.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    with lock.inside(folder, wait=True) as said:
        yield said


def answers(asked: str, kind: str, manifest: Manifest, items: int) -> bool:
    """Return whether an index that is there is the one asked for; auto wants a measured one."""
    if asked != "auto":
        return asked == kind
    if kind == "exact" and items < MEASURED_FROM:
        return True
    return manifest.why is not None and is_up_to_date(manifest)


def is_up_to_date(manifest: Manifest) -> bool:
    """Return whether `auto` has looked at all that it would look at here, in these versions.

    It may have looked at more: a machine that lacks a plugin does not replace another's index.
    """
    tried = manifest.tried
    if tried is None:  # exact search was quick enough for any
        return True
    if not isinstance(tried, dict):
        return False
    return registry.versions_for_auto(manifest.kind).items() <= tried.items()


def probes(served: Served) -> Array:
    """Return interests to probe an index with, of histories drawn from the catalogue."""
    rng = stream(served.model.config.seed, "probe")
    weights = np.array(served.items.counts, float) + 1
    draws = rng.choice(len(weights), (PROBED, 16), p=weights / weights.sum())
    rows = Ragged.of(list(draws.astype(np.int64)))
    found = interests(served.model, rows, served.unknown_profile(len(rows)), served.backend)
    return found.vectors[found.active]
