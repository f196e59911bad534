"""Recall from a run directory: one user, one history, or everybody, by an index that is checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.data.splits import slices
from mindref.data.streams import stream
from mindref.errors import BackendError, ConfigError, RunError, say
from mindref.models.serving import interests
from mindref.recall import ExactIndex, Index, build_index, open_index, registry
from mindref.recall import recommend as search
from mindref.recall.build import MEASURED_FROM
from mindref.recall.manifest import Manifest, read, read_fitting
from mindref.recommender.served import Recommendation, Served
from mindref.shapes import Array

USERS_AT_ONCE = 1024  # bounds the memory of --all-users; the last bits depend on who is in a block
PROBED = 256  # made-up users, as many as an index is timed with
RECENT = 5  # behaviours shown beside a list


class Answer(NamedTuple):
    """The list of one user."""

    user: str  # empty for a history
    length: int  # behaviours known to the catalogue
    interests: int  # active ones
    recent: list[str]  # titles of the last behaviours
    unknown: list[str]  # items of the history that the catalogue lacks
    items: list[Recommendation]


def about(index: Index) -> list[str]:
    """Return what must be said of an index: what `auto` measured, stand-ins, and approximation."""
    if index.warning:
        return [index.warning]
    if index.kind == "exact":
        measured = index.why is not None and len(index.items) >= MEASURED_FROM
        return [f"auto takes exact search: {index.why}"] if measured else []
    share = "an unknown share" if index.recall is None else f"{index.recall:.1%}"
    line = f"approximate search by {index.kind}: it finds {share} of the true neighbours;"
    line += " --index exact is exact"
    return [f"{line}; auto takes it: {index.why}" if index.why else line]


class Answers:
    """Lists, made while they are read from `index`; `warnings` are lines for the user.

    Users are answered in blocks of a fixed size, counted from the first of all: neither the last
    bits nor the draws of logits depend on which of them are asked for (recall-R35).
    """

    def __init__(self, served: Served, index: Index, asked: Asked, n: int, exclude: bool) -> None:
        self.served, self.index, self.asked = served, index, asked
        self.n, self.exclude = n, exclude
        self.warnings = [*asked.warnings, *about(index)]

    def __iter__(self) -> Iterator[Answer]:
        return self.blocks(0, blocks_of(len(self.asked.names), USERS_AT_ONCE))

    def blocks(self, start: int, stop: int, size: int | None = None) -> Iterator[Answer]:
        """Yield the lists of the blocks from `start` to before `stop`, of `size` users each."""
        length = size or USERS_AT_ONCE
        for number in range(start, stop):
            first = number * length
            last = min(first + length, len(self.asked.names))
            yield from self.block(number, np.arange(first, last))

    def block(self, number: int, which: Ints) -> Iterator[Answer]:
        """Yield the lists of the users of a block."""
        asked, served = self.asked, self.served
        lengths = asked.histories.lengths[which]
        rows = slices(asked.histories, which, np.zeros_like(lengths), lengths)
        # not the generator of `served`, which moves on with every request
        rng = stream(served.model.config.seed, "serving", number)  # recall-R35
        given = (served.model, rows, asked.profiles[which], served.backend, rng)
        found = interests(*given)
        ranked = search(
            self.index,
            found.vectors,
            found.active,
            n=min(self.n, len(served.items.ids)),
            exclude=rows if self.exclude else None,
            score=served.model.config.score,
        )
        for case, user in enumerate(which):
            recent = [served.items.label(int(i)) for i in rows.row(case)[-RECENT:]]
            yield Answer(
                asked.names[user],
                int(lengths[case]),
                int(found.active[case].sum()),
                recent,
                asked.unknown,
                served.listed(ranked, case),
            )


def blocks_of(users: int, size: int) -> int:
    """Return how many blocks so many users make."""
    return -(-users // size)


class Asked(NamedTuple):
    """Who is asked for."""

    names: list[str]
    histories: Ragged
    profiles: Ints
    unknown: list[str]
    warnings: list[str]  # lines about what is left out


def recall(
    run: Path,
    *,
    users: Sequence[str] | None = None,
    history: Sequence[str] | None = None,
    data: Path | None = None,
    n: int = 20,
    kind: str = "auto",
    exclude_seen: bool = True,
    backend: str | None = None,
    device: str = "cpu",
) -> Answers:
    """Return the lists of these users, of this history, or of every user of the log.

    The index is built on first use and kept in the run directory; one that does not fit the model
    any more is built again. Raises RunError, DataError, ConfigError, or BackendError for a broken
    plugin.
    """
    registry.check_kind(kind, "--index")
    if kind not in registry.OURS:
        registry.load(kind)  # before all that is slow
    served = Served.load(run, backend, device).ready()
    if data is not None:
        served.source = served.source.moved(data)
    asked = who(served, users, history)
    index = index_of(served, run / "index", kind)
    return Answers(served, index, asked, n, exclude_seen)


def who(served: Served, users: Sequence[str] | None, history: Sequence[str] | None) -> Asked:
    """Return who is asked for, in dense ids."""
    if history is not None:
        rows, unknown = served.known(history, "--history")
        named = ", ".join(map(repr, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        told = [f"{len(unknown)} of {len(history)} items are not in the catalogue: {named}"]
        return Asked([""], rows, served.unknown_profile(1), unknown, told if unknown else [])
    names = list(users) if users is not None else list(served.log.user_ids)
    rows, profiles, lost = served.of_users(names)
    return Asked(names, rows, profiles, [], about_log(served, len(rows.values), lost))


def about_log(served: Served, known: int, unknown: int) -> list[str]:
    """Return what must be said of the log that users were looked up in."""
    lines = []
    if not served.is_trained_on:
        lines.append(
            f"{served.source.place} is not the log that the run was trained on, or changed"
        )
    if unknown:
        lines.append(
            f"{unknown} of {known + unknown} behaviours are of items that the run does not"
            " know, and are left out"
        )
    return lines


def index_of(served: Served, folder: Path, kind: str) -> Index:
    """Return the index of a run, built now unless one that fits is there.

    Raises BackendError where `auto` finds one that fits, of a kind that cannot be loaded here.
    """
    vectors = served.item_vectors
    if kind == "exact":
        return ExactIndex(vectors)  # one that took minutes to build stays for the next time
    # none yet, of another model, or damaged: built anew, and the old one is replaced
    if (index := fitting(folder, vectors, kind)) is not None:
        return index
    seed, count = served.model.config.seed, served.model.config.interests
    try:
        with building(folder):
            if (index := fitting(folder, vectors, kind)) is not None:  # another process was here
                return index
            some = probes(served)
            more: Any = {"directory": folder, "kind": kind, "seed": seed, "interests": count}
            return build_index(vectors, some, **more)
    except RunError as error:  # a run that can be read only, say: what is asked for needs no file
        return ExactIndex(vectors, f"{error}. No index is kept, and search is exact")


def fitting(folder: Path, vectors: Array, kind: str) -> Index | None:
    """Return the index that is there, if it is whole, of these vectors and what is asked for."""
    try:
        index = open_index(folder, vectors)
        found = read(folder)
    except (RunError, BackendError):
        if kind == "auto":
            check_loadable(folder, vectors)
        return None
    return index if answers(kind, index.kind, found, len(vectors)) else None


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
def building(folder: Path) -> Iterator[None]:
    """Let one process at a time build: shares of the users are begun together, and want one index.

    Nobody waits where the system has no such locks, or where nothing can be written.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            folder.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context((folder / ".lock").open("w"))
            fcntl.flock(stream, fcntl.LOCK_EX)  # let go when the file is closed, or by a kill
        yield


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
