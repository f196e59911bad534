"""Exact recall beside faiss' flat index: users a second, in turns, best of ten.

    pip install faiss-cpu
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.field.flat_search

faiss is asked with each of the K = 4 interests of a user; its four lists are not merged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from mindref.evaluation import top_n

WIDTH, INTERESTS, TOP, THREADS = 64, 4, 100, 2
SIZES = ((4_000, 8192), (100_000, 1024))  # items, users


def seconds(work: Callable[[], Any]) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print users a second of both, for each size of the catalogue."""
    faiss.omp_set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    for items, users in SIZES:
        vectors = rng.standard_normal((items, WIDTH), np.float32)
        interests = rng.standard_normal((users, INTERESTS, WIDTH), np.float32)
        active = np.ones((users, INTERESTS), bool)
        index = faiss.IndexFlatIP(WIDTH)
        index.add(vectors)
        flat = interests.reshape(-1, WIDTH)
        asked = {
            "mindref": lambda a=interests, b=active, c=vectors: top_n.top_n(a, b, c, n=TOP),
            "faiss": lambda a=index, b=flat: a.search(b, TOP),
        }
        times: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(10):
            for name, work in asked.items():
                times[name].append(seconds(work))
        rates = ", ".join(f"{name} {users / min(took):,.0f}" for name, took in times.items())
        print(f"{items:,} items: users a second: {rates}")


if __name__ == "__main__":
    main()
