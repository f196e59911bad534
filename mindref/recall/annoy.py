"""The kind `annoy`: approximate search in Annoy's trees, for the inner product.

Spec: specs/recall.md, recall-R11, R12. Source: Bachrach et al. 2014 (from inner product to
distance); github.com/spotify/annoy 1.17.3, whose own metric "dot" does not find the neighbours.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import annoy
import numpy as np

from mindref.evaluation import top_n
from mindref.recall.index import PER
from mindref.shapes import Array, Ints

METRIC: Final = "euclidean"
QUERIES = 64  # that a thread asks at once
BLOCK = 65536  # items that are Python's floats at once

# builds a line of points and asks for neighbours that anybody can name; no NumPy: it must be quick
SELF_TEST = """
from annoy import AnnoyIndex
index = AnnoyIndex(2, "euclidean")
index.set_seed(1)
for i in range(100):
    index.add_item(i, [float(i), 1.0])
index.build(10)
found = [sorted(index.get_nns_by_item(i, 3, 10_000)) for i in range(1, 99)]
if found != [[i - 1, i, i + 1] for i in range(1, 99)]:  # no assert: PYTHONOPTIMIZE drops it
    raise SystemExit("wrong neighbours")
"""


class Annoy:
    """The plugin. Nodes are looked at in proportion to the effort and to the length of the list."""

    name = "annoy"
    order: int | None = 2
    options: Mapping[str, int] = {"n_trees": 20}

    def failure(self) -> str | None:
        """Return why Annoy cannot be trusted here, or None."""
        return failure()

    def version(self) -> str:
        """Return the version of the installed Annoy; an index does not carry over to another."""
        return f"annoy {metadata.version('annoy')}"

    def build(self, items: Array, *, seed: int, n_jobs: int, **options: int) -> Trees:
        """Return trees over items (N, D) of lengths up to one."""
        trees = annoy.AnnoyIndex(items.shape[1] + 1, METRIC)
        trees.set_seed(seed)  # recall-R26: before the first item, so the bytes are the same too
        for first in range(0, len(items), BLOCK):
            for i, vector in enumerate(lifted(items[first : first + BLOCK]).tolist(), first):
                trees.add_item(i, vector)
        trees.build(options["n_trees"], n_jobs)
        return Trees(trees)

    def load(self, path: Path, dim: int, count: int) -> Trees:
        """Map a file of trees over items of width dim.

        The file is mapped, not read: it may be replaced while in use, but never truncated.
        """
        trees = annoy.AnnoyIndex(dim + 1, METRIC)
        trees.load(str(path))
        if trees.get_n_items() != count:
            raise ValueError(f"{trees.get_n_items()} items, not {count}")
        return Trees(trees)


class Trees:
    """Trees over lifted items; an effort is the number of nodes to look at for 50 items."""

    def __init__(self, trees: Any) -> None:
        self.trees = trees
        self.least = PER * trees.get_n_trees()
        self.most = max(self.least, trees.get_n_items() * trees.get_n_trees())

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return the n ids that the trees lead to for each query (Q, D) of length one."""
        nodes = -(-effort * max(n, PER) // PER)
        ids = np.full((len(queries), n), -1)
        aimed = np.hstack([queries, np.zeros((len(queries), 1))])  # recall-R12

        def look_up(part: slice) -> None:
            for row, query in zip(ids[part], aimed[part].tolist(), strict=True):
                found = self.trees.get_nns_by_vector(query, n, nodes)
                row[: len(found)] = found

        top_n.in_parts(look_up, len(queries), QUERIES)
        return ids

    def save(self, path: Path) -> None:
        """Write the trees to a file."""
        self.trees.save(str(path))


def lifted(items: Array) -> Array:
    """Return items (N, D + 1) of length one: near to a query of that length is large by product.

    |x|^2 + (1 - |x|^2) = 1, so |q - x|^2 = 2 - 2 q . x for a query (q, 0) of length one.
    """
    exact = items.astype(np.float64)
    rest = np.maximum(1 - (exact**2).sum(axis=1, keepdims=True), 0)  # recall-R11
    return np.hstack([exact, np.sqrt(rest)])


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
