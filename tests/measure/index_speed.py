"""Compare every kind of index with exact search: users per second, and recall of the lists.

    pip install '.[faiss]'
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed 100000
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed RUN
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed 1000000 faiss-ivf

A number of items gives synthetic vectors: topics of about fifty items, popularity in the length,
and weight in the first directions. Each of the K = 4 interests is the mean of five items of a
topic. A run directory gives the vectors of the model and users of the log. Lists of 100 items are
merged and exclude 50 items (or the history). Kinds are interleaved, best of three (from 500,000
items: one). Recall counts positions whose score is at least the lowest score of exact search.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.models.serving import compute_interests
from mindref.recall import ExactIndex, ItemFilter, build_index, open_index, retrieve_top_n
from mindref.recall.build import recall_of_scores
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving.served_model import ServedModel

WIDTH, INTERESTS, TOP, SEEN, USERS = 64, 4, 100, 50, 1024
KINDS = ("annoy", "faiss-ivf")


class SearchWorkload(NamedTuple):
    """Item vectors, queries and probes of an index."""

    items: Any  # (N, D)
    interests: Any  # (C, K, D)
    active: Any  # (C, K)
    seen: Ragged
    probes: Any  # (Q, D)


def synthetic_workload(count: int) -> SearchWorkload:
    """Return synthetic vectors that are similar to trained vectors."""
    rng = np.random.default_rng(0)
    weights = 1 / np.sqrt(np.arange(1, WIDTH + 1))
    topics = rng.standard_normal((max(1, count // 50), WIDTH))
    topic = rng.integers(len(topics), size=count)
    near = topics[topic] + 0.5 * rng.standard_normal((count, WIDTH))
    lengths = np.exp(0.2 * rng.standard_normal((count, 1)))
    items = (near * weights * lengths).astype(np.float32)
    members = np.argsort(topic, kind="stable")

    def interests(users: int) -> Any:
        first = rng.integers(count - 5, size=(users, INTERESTS, 1))
        return items[members[first + np.arange(5)]].mean(axis=2)

    seen = [np.sort(rng.choice(count, SEEN, replace=False)) for _ in range(USERS)]
    every = np.ones((USERS, INTERESTS), np.bool_)
    return SearchWorkload(
        items, interests(USERS), every, Ragged.of(seen), interests(256).reshape(-1, WIDTH)
    )


def run_workload(run: Path) -> SearchWorkload:
    """Return the vectors of a model and of the first users of the log."""
    served = ServedModel.load(run)
    rows, profiles, _ = served.encode_users(list(served.log.user_ids)[: 4 * USERS])
    interests = compute_interests(
        served.model, served.servable.select(rows), profiles, served.backend
    )
    return SearchWorkload(
        served.item_vectors,
        interests.vectors,
        interests.active,
        served.servable.to_rows(rows),
        bulk.probe_interests(served),
    )


def main(source: str, *kinds: str) -> None:
    """Print a line for each kind of index."""
    workload = (
        run_workload(Path(source)) if Path(source).is_dir() else synthetic_workload(int(source))
    )
    users, (count, width) = len(workload.active), workload.items.shape
    users_of, seen = (workload.interests, workload.active), ItemFilter(exclude=workload.seen)
    print(f"{count:,} items of width {width}, {users:,} users", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        indexes: dict[str, Any] = {"exact": ExactIndex(workload.items)}
        descriptions = {"exact": "  builds in 0 s, probed 100.0%"}
        for kind in kinds or KINDS:
            directory = Path(folder) / kind
            started = time.perf_counter()
            build_index(workload.items, workload.probes, directory=directory, kind=kind)
            took = time.perf_counter() - started
            manifest = json.loads((directory / "manifest.json").read_text())
            recall, effort = manifest["probed_recall"], manifest["effort"]
            descriptions[kind] = (
                f"  builds in {took:.0f} s, probed {recall:.1%} with effort {effort}"
            )
            indexes[kind] = open_index(directory, workload.items)
        times: dict[str, list[float]] = {kind: [] for kind in indexes}
        lists: dict[str, Any] = {}
        for _ in range(3 if count < 500_000 else 1):
            for kind, index in indexes.items():
                started = time.perf_counter()
                lists[kind] = retrieve_top_n(index, *users_of, n=TOP, item_filter=seen)
                times[kind].append(time.perf_counter() - started)
        for kind, took in times.items():
            recall = recall_of_scores(lists[kind].scores, lists["exact"].scores)
            speed = f"{users / min(took):8,.0f} users/s"
            print(f"{kind:<11}{speed}  finds {recall:6.1%}{descriptions[kind]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
