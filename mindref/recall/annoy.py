"""Approximate search in Annoy's trees, for the inner product, with exact scores.

Spec: specs/recall.md, recall-R11 to recall-R14. Source: Bachrach et al. 2014 (from inner product
to distance); github.com/spotify/annoy 1.17.3, whose own metric "dot" does not find the neighbours.
Differs: items are measured in units of the longest one, so that nothing leaves float32.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from mindref import atomic, ranking
from mindref.recall.index import Found
from mindref.recall.manifest import file_digest
from mindref.shapes import Array

METRIC: Final = "euclidean"

# builds a line of points and asks for neighbours that anybody can name; no NumPy: it must be quick
SELF_TEST = """
from annoy import AnnoyIndex
index = AnnoyIndex(2, "euclidean")
index.set_seed(1)
for i in range(100):
    index.add_item(i, [float(i), 1.0])
index.build(10)
found = [sorted(index.get_nns_by_item(i, 3, 10_000)) for i in range(1, 99)]
assert found == [[i - 1, i, i + 1] for i in range(1, 99)], "wrong neighbours"
"""


class AnnoyIndex:
    """Trees over the item vectors (N, D), and the vectors for the exact scores."""

    kind = "annoy"

    def __init__(
        self,
        trees: Any,
        items: Array,
        search_k: int,
        per: int,
        warning: str | None = None,
        recall: float | None = None,
    ) -> None:
        self.trees = trees
        self.items = items
        self.search_k = search_k  # nodes to look at for a list of `per` items
        self.per = per
        self.warning = warning  # that too little is found, or None
        self.recall = recall  # share of the true `per` best that was found when it was built
        norms = np.linalg.norm(items, axis=1)
        self.longest = items[[norms.argmax()]]  # (1, D) stands for all when products are checked
        self.flat = not norms.any()

    def search(self, queries: Array, n: int) -> Found:
        """Return n items with large products with each query (Q, D), by their exact products.

        Longer lists look at more nodes, in proportion. Raises as ranking.top_n does.
        """
        ranking.check_values("annoy", queries, self.longest)
        n_found = min(n, len(self.items))
        budget = -(-self.search_k * max(n_found, self.per) // self.per)
        rows = [self.neighbours(query, n_found, budget) for query in unit(queries).tolist()]
        ids = np.array([row + [-1] * (n_found - len(row)) for row in rows], dtype=np.int64)
        ids = ids.reshape(len(queries), n_found)
        one = np.ones((len(queries), 1), np.bool_)
        ranked = ranking.rerank(queries[:, None], one, self.items, ids, n=n)  # recall-R13
        return Found(ranked.items, ranked.scores)

    def neighbours(self, query: list[float], n: int, budget: int) -> list[int]:
        """Return the ids nearest to a query of length one, or of zeros."""
        if self.flat or not any(query):
            return list(range(n))  # recall-R14: all products are zero, so the lowest ids win
        found: list[int] = self.trees.get_nns_by_vector([*query, 0.0], n, budget)
        return found


def build(items: Array, *, n_trees: int, seed: int, n_jobs: int = 1) -> Any:
    """Return trees over items (N, D); the same for the same seed when n_jobs is 1.

    Raises DataError on NaN or infinity, which Annoy would take silently.
    """
    import annoy

    ranking.check_values("annoy", items[:0], items)
    trees = annoy.AnnoyIndex(items.shape[1] + 1, METRIC)
    trees.set_seed(seed)  # recall-R26: before the first item, so that the bytes are the same too
    for i, vector in enumerate(lifted(items).tolist()):
        trees.add_item(i, vector)
    trees.build(n_trees, n_jobs)
    return trees


def lifted(items: Array) -> Array:
    """Return items (N, D + 1) of one length: near to a query of that length is large by product.

    |x|^2 + (m^2 - |x|^2) = m^2 with m = max |x|, so |q - x|^2 = 2 m^2 - 2 q . x; all in units of m.
    """
    scaled = items.astype(np.float64) / longest(items)
    rest = np.maximum(1 - (scaled**2).sum(axis=1, keepdims=True), 0)  # recall-R11
    return np.hstack([scaled, np.sqrt(rest)])


def unit(queries: Array) -> Array:
    """Return queries scaled to length one, which all lifted items have; zeros stay zeros."""
    norms = np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    scaled: Array = queries / np.where(norms > 0, norms, 1)  # recall-R12
    return scaled


def longest(items: Array) -> float:
    """Return the largest length of a vector, or 1 where all are zero."""
    norm = float(np.linalg.norm(items.astype(np.float64), axis=1).max())
    return norm if norm > 0 else 1.0


def save(trees: Any, folder: Path) -> tuple[Path, str]:
    """Write trees to a file named after its sha256 and return both; no index in use is touched."""
    temporary = atomic.temporary_name(folder / "annoy")
    with atomic.explained(folder / "annoy"):
        trees.save(str(temporary))
        atomic.sync_file(temporary)
        sha = file_digest(temporary)
        return temporary.replace(folder / f"annoy-{sha[:12]}.ann"), sha


def load(path: Path, dim: int) -> Any:
    """Map a file of trees over items of width dim; Annoy checks nothing, so verify before.

    The file is mapped, not read: it may be replaced while in use, but never truncated.
    """
    import annoy

    trees = annoy.AnnoyIndex(dim + 1, METRIC)
    trees.load(str(path))
    return trees


def version() -> str:
    """Return the version of the installed Annoy; an index does not carry over to another."""
    return metadata.version("annoy")


@cache
def failure() -> str | None:
    """Return why Annoy cannot be trusted here, or None; asked once per process.

    Some compilers build an Annoy that returns garbage or aborts, so a child process tries it.
    """
    command = [sys.executable, "-P", "-c", SELF_TEST]  # -P: not an annoy.py that lies about here
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"its self-test could not run ({error})"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"its self-test failed ({last})"
    return None
