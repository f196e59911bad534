"""Build an index, choose its kind by measurement, and open it again.

Spec: specs/recall.md, recall-R22 to recall-R25.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref import __version__, atomic, ranking
from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.recall import manifest as manifests
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index
from mindref.recall.manifest import Manifest
from mindref.recall.search import recommend
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.recall.annoy import AnnoyIndex

KINDS = ("auto", "exact", "annoy")
MEASURED_FROM = 20_000  # items; below, a search takes well under a millisecond anyhow
PROBES = 200  # queries
PER = 50  # items asked for by a probe
ENOUGH = 0.95  # recall at which the trees are judged
TREES = 20
QUICK = 0.001  # seconds a user, in which no trees have merged the lists of several interests
USERS, LIST, SEEN = 64, 20, 50  # that recommending is timed with: users, items asked for, excluded


class Probed(NamedTuple):
    """What a measurement found."""

    search_k: int
    recall: float


def build_index(
    items: Array,
    queries: Array,
    *,
    directory: Path | str,
    kind: str = "auto",
    seed: int = 0,
    n_trees: int = TREES,
    n_jobs: int = 1,
    interests: int = 4,
) -> Index:
    """Build an index over items (N, D), write it to a directory and return it opened.

    queries (Q, D): interests as users have them; up to 200 of them probe recall, and up to 64 users
    of `interests` queries each the speed. kind "auto" takes exact search below 20 000 items, and
    otherwise the faster of the two. Where Annoy does not work, exact search stands in and `warning`
    says so.
    Raises ConfigError, ShapeError, DataError, RunError.
    """
    if kind not in KINDS:
        raise ConfigError(say("index: kind", " or ".join(KINDS), repr(kind)))
    if n_trees < 1:
        raise ConfigError(say("index: n_trees", "an integer of at least 1", n_trees))
    if interests < 1:
        raise ConfigError(say("index: interests", "an integer of at least 1", interests))
    one = np.ones((len(queries), 1), np.bool_)
    ranking.check(queries[:, None], one, items, n=1, exclude=None, score="max")
    folder = Path(directory)
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "exact" or (kind == "auto" and len(items) < MEASURED_FROM):  # recall-R22
        return write_exact(folder, items)
    if len(queries) == 0:
        raise DataError(say("index: queries", "at least one, to probe recall", 0))
    return build_trees(folder, items, queries, interests, kind, seed, n_trees, n_jobs)


def build_trees(
    folder: Path,
    items: Array,
    queries: Array,
    interests: int,
    kind: str,
    seed: int,
    n_trees: int,
    n_jobs: int,
) -> Index:
    """Build the trees, measure, and keep what `kind` asks for."""
    from mindref.recall import annoy

    reason = annoy.failure()
    if reason:  # recall-R24
        return write_exact(folder, items, warning(reason))
    users = users_of(queries, interests)
    figures = {"exact_seconds": seconds(ExactIndex(items), users)}
    if kind == "auto" and figures["exact_seconds"] < QUICK:
        return write_exact(folder, items, figures=figures)
    trees = annoy.build(items, n_trees=n_trees, seed=seed, n_jobs=n_jobs)
    index = annoy.AnnoyIndex(trees, items, search_k=n_trees * PER, per=PER)
    found = probe(index, spread(queries, PROBES), n_trees)
    figures |= {"annoy_seconds": seconds(index, users), "annoy_recall": found.recall}
    slow = figures["annoy_seconds"] >= figures["exact_seconds"]
    if kind == "auto" and (slow or found.recall < ENOUGH):  # recall-R23
        return write_exact(folder, items, figures=figures)
    index.recall = found.recall
    if found.recall < ENOUGH:
        index.warning = f"Annoy finds only {found.recall:.0%} of the {PER} best; try exact search"
    path, sha = annoy.save(trees, folder)
    facts = {"annoy": annoy.version(), "seed": seed, "n_trees": n_trees, "per": PER}
    facts |= {"file": path.name, "file_sha256": sha, "probed_recall": found.recall}
    facts |= {"search_k": found.search_k, "figures": figures, "warning": index.warning}
    write(folder, items, "annoy", **facts)
    return index


def open_index(directory: Path | str, items: Array) -> Index:
    """Open an index over these item vectors, after its manifest and its file have been checked.

    Raises RunError naming what does not fit. Where Annoy does not work, exact search stands in.
    """
    folder = Path(directory)
    manifest = manifests.verify(folder, items)
    if manifest.kind == "exact":
        return ExactIndex(items, manifest.warning)
    from mindref.recall import annoy

    reason = annoy.failure()
    if reason:
        return ExactIndex(items, warning(reason))  # recall-R24
    path = manifests.verify_trees(folder, manifest, annoy.version())
    trees = annoy.load(path, items.shape[1])
    if trees.get_n_items() != len(items):
        raise RunError(say(str(path), f"{len(items)} items", trees.get_n_items(), manifests.TODO))
    assert manifest.search_k is not None  # by verify_trees
    assert manifest.per is not None
    known = (manifest.search_k, manifest.per, manifest.warning, manifest.probed_recall)
    return annoy.AnnoyIndex(trees, items, *known)


def write_exact(
    folder: Path,
    items: Array,
    warning: str | None = None,
    figures: dict[str, float] | None = None,
) -> ExactIndex:
    """Write the manifest of exact search, which needs no file."""
    write(folder, items, "exact", warning=warning, figures=figures)
    return ExactIndex(items, warning)


def write(folder: Path, items: Array, kind: str, **facts: Any) -> None:
    """Write a manifest, then remove what it does not name."""
    manifest = Manifest(
        format=manifests.FORMAT,
        kind=kind,
        metric="inner_product",
        dim=items.shape[1],
        count=len(items),
        items_sha256=manifests.digest(items),
        mindref=__version__,
        **facts,
    )
    manifest.write(folder)  # recall-R25: from here on the new index is the index
    atomic.sweep(folder)
    for path in folder.glob("annoy-*.ann"):
        if path.name != manifest.file:
            path.unlink(missing_ok=True)


def warning(reason: str) -> str:
    """Return the line that says why exact search stands in."""
    return f"Annoy does not work here: {reason}; exact search is used"


def spread(rows: Array, most: int) -> Array:
    """Return up to `most` rows from all over."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))
    chosen: Array = rows[places]
    return chosen


def users_of(queries: Array, interests: int) -> Array:
    """Return up to 64 users (C, K, D), each with neighbouring queries for interests."""
    width = min(interests, len(queries))
    whole = len(queries) // width
    users = queries[: whole * width].reshape(whole, width, -1)
    return spread(users, USERS)


def probe(index: AnnoyIndex, queries: Array, n_trees: int) -> Probed:
    """Let the index look at more and more nodes, until recall is enough or all were looked at."""
    n = min(PER, len(index.items))
    truth = ExactIndex(index.items).search(queries, n).scores
    while True:
        recall = share_found(index.search(queries, n).scores, truth)
        if recall >= ENOUGH or index.search_k >= len(index.items) * n_trees:
            return Probed(index.search_k, recall)
        index.search_k *= 2


def seconds(index: Index, users: Array) -> float:
    """Return what a user (C, K, D) takes, all told: searches, merging and exclusion.

    A bare search would flatter the trees, which are asked once an interest and for longer lists.
    """
    places = np.linspace(0, len(index.items) - 1, SEEN).astype(np.int64)
    seen = Ragged.of([np.unique(places)] * len(users))
    active = np.ones(users.shape[:2], np.bool_)
    started = time.perf_counter()
    recommend(index, users, active, n=LIST, exclude=seen)
    return (time.perf_counter() - started) / len(users)


def share_found(scores: Array, truth: Array) -> float:
    """Return the share of places with a score as good as the worst true one: a tie is no miss."""
    return float((scores >= truth[:, -1:]).mean())  # recall-R27
