"""Index kind `faiss-ivf`: approximate search by inner product in faiss's inverted lists.

Spec: specs/recall.md, recall-R34. Source: Johnson, Douze, Jegou 2019 (billion-scale similarity
search); faiss-cpu, the extra `faiss`.
Differs: our exact search chooses the inverted lists, so a result does not depend on the other
queries of the call. The threads are ours, with one OpenMP thread each. So thread pools do not
compete, and a forked process does not hang.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mindref.recall.exact import run_slices, search_top_n
from mindref.recall.index import EFFORT_ITEMS
from mindref.shapes import Array, Ints

QUERIES_PER_TASK = 64
ITEMS_PER_LIST = 64  # training items of k-means per inverted list
ITERATIONS = 10  # of k-means


@contextmanager
def single_openmp_thread() -> Iterator[None]:
    """Run faiss in the calling thread only. The setting is per thread and restored afterwards."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Ivf:
    """The plugin: items in inverted lists around centres; a query searches some lists."""

    name = "faiss-ivf"
    order = 1

    def failure(self) -> str | None:
        """Return None: every index is probed after building."""
        return None

    def version(self) -> str:
        """Return the version of the installed faiss."""
        return f"faiss {faiss.__version__}"  # pip and conda packages have different names

    def build(self, items: Array, *, seed: int) -> IvfStructure:
        """Return the items (N, D) in about 4 sqrt(N) inverted lists, by k-means with this seed."""
        count, dim = items.shape
        lists = max(1, min(count, round(4 * count**0.5)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed & 0x7FFFFFFF  # recall-R26
        index.cp.niter, index.cp.max_points_per_centroid = ITERATIONS, ITEMS_PER_LIST
        index.cp.min_points_per_centroid = 1  # otherwise faiss prints to stdout
        with single_openmp_thread():
            index.train(as_float32(items))
            index.add(as_float32(items))
        return IvfStructure(index)

    def load(self, path: Path, dim: int, count: int) -> IvfStructure:
        """Map a file. The lists stay on disk until a query reads them."""
        return IvfStructure(map_index(path, dim, count))


class IvfStructure:
    """Items in inverted lists. Effort: number of lists to search for 50 items."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.min_effort, self.max_effort = min(8, index.nlist), index.nlist
        self.centres = index.quantizer.reconstruct_n(0, index.nlist)  # (lists, D)

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return the top n of each query (Q, D) in the lists with the nearest centres."""
        list_factor = (max(n, EFFORT_ITEMS) / EFFORT_ITEMS) ** 0.5
        num_lists = min(self.index.nlist, round(effort * list_factor))
        float32_queries = as_float32(queries)
        active = np.ones((len(float32_queries), 1), np.bool_)
        vectors = float32_queries[:, None]
        lists = search_top_n(vectors, active, self.centres, n=num_lists)  # recall-R34
        ids = np.full((len(queries), n), -1)

        def search_rows(rows: slice) -> None:
            with single_openmp_thread():
                ids[rows] = self.search_lists(
                    float32_queries[rows], lists.items[rows], lists.scores[rows], n
                )

        run_slices(search_rows, len(float32_queries), QUERIES_PER_TASK)
        return ids

    def search_lists(self, queries: Array, lists: Ints, scores: Array, n: int) -> Ints:
        """Return the top n of each query (Q, D) in the lists (Q, P) of the query."""
        shape = (len(queries), n)
        ids, distances = np.empty(shape, np.int64), np.empty(shape, np.float32)
        parameters: Any = faiss.SearchParametersIVF()
        parameters.nprobe = lists.shape[1]
        arrays = [np.ascontiguousarray(x) for x in (queries, lists, scores)]
        query, *pointers = map(faiss.swig_ptr, (*arrays, distances, ids))
        # the C function: the Python wrapper takes nprobe from the index, which threads share
        self.index.search_preassigned_c(len(queries), query, n, *pointers, False, parameters, None)
        return ids

    def save(self, path: Path) -> None:
        """Write it to a file."""
        faiss.write_index(self.index, os.fspath(path))


def map_index(path: Path, dim: int, count: int) -> Any:
    """Return the memory-mapped index of a file. Raises ValueError for another index."""
    index = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP)
    if not isinstance(index, faiss.IndexIVFFlat) or (index.d, index.ntotal) != (dim, count):
        got = f"{type(index).__name__} of {index.ntotal} items of width {index.d}"
        raise ValueError(f"{got}, not IndexIVFFlat of {count} of width {dim}")
    return index


def as_float32(rows: Array) -> Array:
    """Return rows as contiguous float32, the only dtype of faiss."""
    return np.ascontiguousarray(rows, np.float32)
