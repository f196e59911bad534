"""Build an index, choose its kind by measurement, and open it again.

Spec: specs/recall.md, recall-R22 to recall-R25.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref import __version__, atomic, ranking
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.recall import manifest as manifests
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index
from mindref.recall.manifest import Manifest
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.recall.annoy import AnnoyIndex

KINDS = ("auto", "exact", "annoy")
MEASURED_FROM = 20_000  # items; below, a search takes well under a millisecond anyhow
PROBES = 200  # queries
PER = 50  # items asked for by a probe
ENOUGH = 0.95  # recall at which the trees are judged
TREES = 20


class Probed(NamedTuple):
    """What a measurement found."""

    search_k: int
    recall: float
    figures: dict[str, float]


def build_index(
    items: Array,
    queries: Array,
    *,
    directory: Path | str,
    kind: str = "auto",
    seed: int = 0,
    n_trees: int = TREES,
    n_jobs: int = 1,
) -> Index:
    """Build an index over items (N, D), write it to a directory and return it opened.

    queries (Q, D): interests as users have them; up to 200 of them probe recall and speed. kind
    "auto" takes exact search below 20 000 items, and otherwise the faster of the two. Where Annoy
    does not work, exact search stands in and `warning` says so.
    Raises ConfigError, ShapeError, DataError, RunError.
    """
    if kind not in KINDS:
        raise ConfigError(say("index: kind", " or ".join(KINDS), repr(kind)))
    if n_trees < 1:
        raise ConfigError(say("index: n_trees", "an integer of at least 1", n_trees))
    one = np.ones((len(queries), 1), np.bool_)
    ranking.check(queries[:, None], one, items, n=1, exclude=None, score="max")
    folder = Path(directory)
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "exact" or (kind == "auto" and len(items) < MEASURED_FROM):  # recall-R22
        return write_exact(folder, items)
    if len(queries) == 0:
        raise DataError(say("index: queries", "at least one, to probe recall", 0))
    return build_trees(folder, items, spread(queries), kind, seed, n_trees, n_jobs)


def build_trees(
    folder: Path, items: Array, probes: Array, kind: str, seed: int, n_trees: int, n_jobs: int
) -> Index:
    """Build the trees, measure, and keep what `kind` asks for."""
    from mindref.recall import annoy

    reason = annoy.failure()
    if reason:  # recall-R24
        return write_exact(folder, items, warning(reason))
    trees = annoy.build(items, n_trees=n_trees, seed=seed, n_jobs=n_jobs)
    index = annoy.AnnoyIndex(trees, items, search_k=n_trees * PER, per=PER)
    found = probe(index, probes, n_trees)
    slow = found.figures["annoy_seconds"] >= found.figures["exact_seconds"]
    if kind == "auto" and (slow or found.recall < ENOUGH):  # recall-R23
        return write_exact(folder, items, figures=found.figures)
    index.search_k = found.search_k
    if found.recall < ENOUGH:
        index.warning = f"Annoy finds only {found.recall:.0%} of the {PER} best; try exact search"
    path, sha = annoy.save(trees, folder)
    facts = {"annoy": annoy.version(), "seed": seed, "n_trees": n_trees, "per": PER}
    facts |= {"file": path.name, "file_sha256": sha, "probed_recall": found.recall}
    facts |= {"search_k": found.search_k, "figures": found.figures, "warning": index.warning}
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
    return annoy.AnnoyIndex(trees, items, manifest.search_k, manifest.per, manifest.warning)


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


def spread(queries: Array) -> Array:
    """Return up to PROBES queries, evenly spaced."""
    chosen = np.linspace(0, len(queries) - 1, min(PROBES, len(queries))).astype(np.int64)
    return queries[chosen]


def probe(index: AnnoyIndex, queries: Array, n_trees: int) -> Probed:
    """Look at more and more nodes until recall is enough or every item is looked at; time both."""
    n = min(PER, len(index.items))
    started = time.perf_counter()
    truth = ExactIndex(index.items).search(queries, n).scores
    exact = (time.perf_counter() - started) / max(len(queries), 1)
    search_k = index.search_k
    while True:
        index.search_k = search_k
        started = time.perf_counter()
        found = index.search(queries, n)
        seconds = (time.perf_counter() - started) / max(len(queries), 1)
        recall = share_found(found.scores, truth)
        if recall >= ENOUGH or search_k >= len(index.items) * n_trees:
            break
        search_k *= 2
    figures = {"exact_seconds": exact, "annoy_seconds": seconds, "annoy_recall": recall}
    return Probed(search_k, recall, figures)


def share_found(scores: Array, truth: Array) -> float:
    """Return the share of places with a score as good as the worst true one: a tie is no miss."""
    return float((scores >= truth[:, -1:]).mean())  # recall-R27
