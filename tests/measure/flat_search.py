"""Compare exact recall with the flat index of faiss: users per second, interleaved, best of ten.

    pip install faiss-cpu
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.flat_search

faiss searches each of the K = 4 interests of a user; the four lists are not merged.
"""

from __future__ import annotations

import time

import faiss
import numpy as np

from mindref.recall.exact import search_top_n

WIDTH, INTERESTS, TOP, THREADS = 64, 4, 100, 2
SIZES = ((4_000, 8192), (100_000, 1024))  # items, users


def main() -> None:
    """Print users per second for each size of the catalogue."""
    faiss.omp_set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    for items, users in SIZES:
        vectors = rng.standard_normal((items, WIDTH), np.float32)
        interests = rng.standard_normal((users, INTERESTS, WIDTH), np.float32)
        active = np.ones((users, INTERESTS), bool)
        index = faiss.IndexFlatIP(WIDTH)
        index.add(vectors)
        flat = interests.reshape(-1, WIDTH)
        contenders = {
            "mindref": lambda a=interests, b=active, c=vectors: search_top_n(a, b, c, n=TOP),
            "faiss": lambda a=index, b=flat: a.search(b, TOP),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(10):
            for name, work in contenders.items():
                start = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - start)
        rates = ", ".join(f"{name} {users / min(took):,.0f}" for name, took in times.items())
        print(f"{items:,} items: users per second: {rates}")


if __name__ == "__main__":
    main()
