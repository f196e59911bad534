"""The kinds `faiss-flat` and `faiss-ivf`: faiss' search by inner product, flat or in lists.

Spec: specs/recall.md, recall-R34. Source: Johnson, Douze, Jegou 2019 (billion-scale similarity
search); faiss-cpu, the extra `faiss`. Its graphs (HNSW) do not find the neighbours by product and
are not offered.
Differs: the lists to look at are chosen by our own exact search, whose answer does not depend on
what other queries come with it. The threads are ours: each tells OpenMP to have one of its own, so
that no pool fights another, and a process that is forked hangs in none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mindref.evaluation import top_n
from mindref.evaluation.top_n.search import SPARE
from mindref.recall.index import PER
from mindref.shapes import Array, Ints

QUERIES = 64  # that a thread asks at once
SAMPLE = 64  # items for each list, of which k-means learns
ROUNDS = 10  # of k-means


@contextmanager
def one_thread() -> Iterator[None]:
    """Let this thread do all that faiss does; the setting is a thread's own, and put back."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Shared:
    """What both kinds share."""

    order: int | None = None
    options: Mapping[str, int] = {}

    def failure(self) -> str | None:
        """Return None: what is built is probed."""
        return None

    def version(self) -> str:
        """Return the version of the installed faiss."""
        return f"faiss {faiss.__version__}"  # of any package: pip's and conda's differ in name


class Flat(Shared):
    """The plugin that compares with every item."""

    name = "faiss-flat"

    def build(self, items: Array, *, seed: int, n_jobs: int, **options: int) -> FlatStructure:
        """Return a copy of the items (N, D) that faiss searches through."""
        index = faiss.IndexFlatIP(items.shape[1])
        with one_thread():
            index.add(single(items))
        return FlatStructure(index)

    def load(self, path: Path, dim: int, count: int) -> FlatStructure:
        """Map a file."""
        return FlatStructure(mapped(path, faiss.IO_FLAG_MMAP_IFC, faiss.IndexFlatIP, dim, count))


class FlatStructure:
    """All items; no effort is too small."""

    least = most = 1

    def __init__(self, index: Any) -> None:
        self.index = index

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return the n best of each query (Q, D), and some to spare.

        The last bits of a product depend on the shape of the matrix product that it is part of.
        """
        wanted = min(n + SPARE, self.index.ntotal)
        ids = np.full((len(queries), wanted), -1)

        def look_up(part: slice) -> None:
            with one_thread():
                ids[part] = self.index.search(single(queries[part]), wanted)[1]

        top_n.in_parts(look_up, len(queries), QUERIES)
        return ids

    def save(self, path: Path) -> None:
        """Write it to a file."""
        faiss.write_index(self.index, os.fspath(path))


class Ivf(Shared):
    """The plugin that parts the items into lists around centres, and looks through some."""

    name = "faiss-ivf"
    order = 1

    def build(self, items: Array, *, seed: int, n_jobs: int, **options: int) -> IvfStructure:
        """Return the items (N, D) in about 4 sqrt(N) lists; k-means starts from the seed."""
        count, dim = items.shape
        lists = max(1, min(count, round(4 * count**0.5)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed & 0x7FFFFFFF  # recall-R26
        index.cp.niter, index.cp.max_points_per_centroid = ROUNDS, SAMPLE
        index.cp.min_points_per_centroid = 1  # or faiss warns on standard output
        with one_thread():
            index.train(single(items))
            index.add(single(items))
        return IvfStructure(index)

    def load(self, path: Path, dim: int, count: int) -> IvfStructure:
        """Map a file: the lists stay on the disk until they are looked at."""
        return IvfStructure(mapped(path, faiss.IO_FLAG_MMAP, faiss.IndexIVFFlat, dim, count))


class IvfStructure:
    """Items in lists; an effort is the number of lists to look through for 50 items."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.least, self.most = min(8, index.nlist), index.nlist
        self.centres = index.quantizer.reconstruct_n(0, index.nlist)  # (lists, D)

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return the n best of each query (Q, D) in the lists whose centres are nearest to it."""
        longer = (max(n, PER) / PER) ** 0.5
        probes = min(self.index.nlist, round(effort * longer))
        some = single(queries)
        one = np.ones((len(some), 1), np.bool_)
        near = top_n.top_n(some[:, None], one, self.centres, n=probes)  # recall-R34
        ids = np.full((len(queries), n), -1)

        def look_up(part: slice) -> None:
            with one_thread():
                ids[part] = self.look_through(some[part], near.items[part], near.scores[part], n)

        top_n.in_parts(look_up, len(some), QUERIES)
        return ids

    def look_through(self, queries: Array, lists: Ints, scores: Array, n: int) -> Ints:
        """Return the n best of each query (Q, D) in its own lists (Q, P)."""
        ids, found = np.empty((len(queries), n), np.int64), np.empty((len(queries), n), np.float32)
        how: Any = faiss.SearchParametersIVF()
        how.nprobe = lists.shape[1]
        arrays = [np.ascontiguousarray(x) for x in (queries, lists, scores)]
        asked, places, near, out, to = map(faiss.swig_ptr, (*arrays, found, ids))
        # as the wrapper in Python has the number of lists from the index, which threads share
        self.index.search_preassigned_c(
            len(queries), asked, n, places, near, out, to, False, how, None
        )
        return ids

    def save(self, path: Path) -> None:
        """Write it to a file."""
        faiss.write_index(self.index, os.fspath(path))


def mapped(path: Path, how: int, kind: type, dim: int, count: int) -> Any:
    """Return the index of a file, its large parts mapped. Raises ValueError for another one."""
    index = faiss.read_index(os.fspath(path), how)
    if not isinstance(index, kind) or (index.d, index.ntotal) != (dim, count):
        got = f"{type(index).__name__} of {index.ntotal} items of width {index.d}"
        raise ValueError(f"{got}, not {kind.__name__} of {count} of width {dim}")
    return index


def single(rows: Array) -> Array:
    """Return rows in the only type that faiss has."""
    return np.ascontiguousarray(rows, np.float32)
