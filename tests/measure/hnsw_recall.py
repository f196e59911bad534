"""Measure how many of the top 50 an HNSW graph of faiss finds by inner product.

    pip install '.[faiss]'
    OPENBLAS_NUM_THREADS=1 python -m tests.measure.hnsw_recall

The vectors are those of tests/measure/index_speed.py, 20,000 items and 200 queries. For each number
of links per node and each search effort: recall, and milliseconds per query on one thread.
"""

from __future__ import annotations

import time

import numpy as np

from mindref.recall import ExactIndex, nearest_items
from tests.measure.index_speed import synthetic_workload

ITEMS, QUERIES, TOP = 20_000, 200, 50


def main() -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    workload = synthetic_workload(ITEMS)
    queries = np.ascontiguousarray(workload.probes[:QUERIES], np.float32)
    exact = nearest_items(ExactIndex(workload.items), queries, TOP).ids
    for links in (16, 32):
        graph = faiss.IndexHNSWFlat(workload.items.shape[1], links, faiss.METRIC_INNER_PRODUCT)
        graph.add(workload.items)
        for effort in (64, 1024, ITEMS):
            graph.hnsw.efSearch = effort
            started = time.perf_counter()
            ids = graph.search(queries, TOP)[1]
            seconds = (time.perf_counter() - started) / QUERIES
            pairs = zip(ids, exact, strict=True)
            recall = np.mean([np.isin(row, truth).mean() for row, truth in pairs])
            print(
                f"{links} links, effort {effort}: {recall:.1%}, {seconds * 1e3:.2f} ms", flush=True
            )


if __name__ == "__main__":
    main()
