"""Index kind `annoy`: approximate search by inner product in Annoy's trees.

Spec: specs/recall.md, recall-R11, R12, R42. Source: Bachrach et al. 2014 (inner product as a
distance); github.com/spotify/annoy 1.17.3. Differs: the extra coordinate is ours, not that of
Annoy's metric "dot". Two distributions contain the module: annoy (source only) and annoy-mm
(wheels).
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import annoy
import numpy as np

from mindref.process.requirements import compile_library
from mindref.recall.exact import run_slices
from mindref.recall.index import EFFORT_ITEMS
from mindref.shapes import Array, Ints

METRIC: Final = "euclidean"
NUM_TREES = 20
QUERIES_PER_TASK = 64
ITEMS_PER_BLOCK = 65536  # items that are converted to Python floats at once

# searches points on a line, whose neighbours are known; without NumPy, which is slow to import
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
    """The plugin. The number of visited nodes is proportional to the effort and to n."""

    name = "annoy"
    order = 2
    hint = f"install another build: {compile_library('annoy', 'annoy-mm')}"

    def failure(self) -> str | None:
        """Return why Annoy cannot be trusted here, or None."""
        return self_test_failure()

    def version(self) -> str:
        """Return names and versions of the distributions. Others cannot load the index."""
        return distribution_version()  # recall-R53

    def build(self, items: Array, *, seed: int) -> AnnoyTrees:
        """Return trees over items (N, D) of norm at most 1."""
        trees = annoy.AnnoyIndex(items.shape[1] + 1, METRIC)
        trees.set_seed(seed)  # recall-R26: before the first item, so that the file is reproducible
        for first in range(0, len(items), ITEMS_PER_BLOCK):
            block = add_coordinate(items[first : first + ITEMS_PER_BLOCK])
            for i, vector in enumerate(block.tolist(), first):
                trees.add_item(i, vector)
        trees.build(NUM_TREES, 1)  # one thread: the file is reproducible
        return AnnoyTrees(trees)

    def load(self, path: Path, dim: int, count: int) -> AnnoyTrees:
        """Map a file of trees over items (count, dim).

        The file is memory-mapped. It may be replaced while in use, but never truncated.
        """
        trees = annoy.AnnoyIndex(dim + 1, METRIC)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
            pass  # Annoy does not check whether the file can be mapped
        trees.load(str(path))
        if trees.get_n_items() != count:
            raise ValueError(f"{trees.get_n_items()} items, not {count}")
        return AnnoyTrees(trees)


class AnnoyTrees:
    """Trees over items with the extra coordinate. Effort: nodes to visit for 50 items."""

    def __init__(self, trees: Any) -> None:
        self.trees = trees
        self.min_effort = EFFORT_ITEMS * trees.get_n_trees()
        self.max_effort = max(self.min_effort, trees.get_n_items() * trees.get_n_trees())

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return n candidate ids (Q, n) for the queries (Q, D) of norm 1."""
        nodes = -(-effort * max(n, EFFORT_ITEMS) // EFFORT_ITEMS)
        ids = np.full((len(queries), n), -1)
        lifted_queries = np.hstack([queries, np.zeros((len(queries), 1))])  # recall-R12

        def search_rows(rows: slice) -> None:
            for row, query in zip(ids[rows], lifted_queries[rows].tolist(), strict=True):
                neighbours = self.trees.get_nns_by_vector(query, n, nodes)
                row[: len(neighbours)] = neighbours

        run_slices(search_rows, len(queries), QUERIES_PER_TASK)
        return ids

    def save(self, path: Path) -> None:
        """Write the trees to a file."""
        self.trees.save(str(path))


def add_coordinate(items: Array) -> Array:
    """Return items (N, D + 1) of norm 1: the distance to a query of norm 1 falls with the product.

    |x|^2 + (1 - |x|^2) = 1, so |q - x|^2 = 2 - 2 q . x for a query (q, 0) of norm 1.
    """
    exact = items.astype(np.float64)
    squared_remainder = np.maximum(1 - (exact**2).sum(axis=1, keepdims=True), 0)  # recall-R11
    return np.hstack([exact, np.sqrt(squared_remainder)])


@cache
def distribution_version() -> str:
    """Return names and versions of the installed distributions that contain the module `annoy`."""
    names = sorted(set(metadata.packages_distributions().get("annoy", [])))
    return ", ".join(f"{x} {metadata.version(x)}" for x in names) or "annoy of unknown version"


@cache
def self_test_failure() -> str | None:
    """Return why Annoy is unusable here, or None. Tested once per process.

    With some compilers Annoy returns wrong neighbours or aborts, so a child process tests it.
    """
    command = [sys.executable, "-P", "-c", SELF_TEST]  # -P: ignore an annoy.py in this folder
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"its self-test could not run ({error})"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"its self-test failed ({last})"
    return None
