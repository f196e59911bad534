"""Every kind of index beside exact search: users a second and the share of the lists found.

    pip install 'mindref[faiss]'
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed 100000
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed RUN
    OPENBLAS_NUM_THREADS=1 MINDREF_THREADS=2 python -m tests.measure.index_speed 1000000 faiss-ivf

With a number of items the vectors are made up: topics of about fifty items, popularity in the
length, weight in the first directions; each of K = 4 interests is the mean of five items of a
topic. With a run directory they are those of the model, and of users of its log. Lists of 100 are
merged, without 50 items (or what the user has had), in turns; best of three (one from 500,000
items). The share counts places whose score is at least the worst of exact search.
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
from mindref.recall import ExactIndex, build_index, open_index, retrieve_top_n
from mindref.recall.probe import recall_of_scores
from mindref.recommender import bulk
from mindref.recommender.serving import ServedModel

WIDTH, INTERESTS, TOP, SEEN, USERS = 64, 4, 100, 50, 1024
KINDS = ("annoy", "faiss-flat", "faiss-ivf")


class World(NamedTuple):
    """What is searched for what, and what an index is probed with."""

    items: Any  # (N, D)
    interests: Any  # (C, K, D)
    active: Any  # (C, K)
    seen: Ragged
    probes: Any  # (Q, D)


def made_up(count: int) -> World:
    """Return vectors as training leaves them, near enough."""
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
    return World(items, interests(USERS), every, Ragged.of(seen), interests(256).reshape(-1, WIDTH))


def of_run(run: Path) -> World:
    """Return the vectors of a model and of the first users of its log."""
    served = ServedModel.load(run)
    rows, profiles, _ = served.encode_users(list(served.log.user_ids)[: 4 * USERS])
    found = served.compute_interests(rows, profiles)
    return World(served.item_vectors, found.vectors, found.active, rows, bulk.probe_interests(served))


def measured(world: World, index: Any) -> tuple[float, Any]:
    """Return how long all lists take, and the lists."""
    started = time.perf_counter()
    ranked = retrieve_top_n(index, world.interests, world.active, n=TOP, exclude=world.seen)
    return time.perf_counter() - started, ranked


def main(word: str, *kinds: str) -> None:
    """Print a line for each kind."""
    world = of_run(Path(word)) if Path(word).is_dir() else made_up(int(word))
    users, (count, width) = len(world.active), world.items.shape
    print(f"{count:,} items of width {width}, {users:,} users", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        indexes: dict[str, Any] = {"exact": ExactIndex(world.items)}
        facts = {"exact": "  builds in 0 s, probed 100.0%"}
        for kind in kinds or KINDS:
            place = Path(folder) / kind
            started = time.perf_counter()
            build_index(world.items, world.probes, directory=place, kind=kind)
            took = time.perf_counter() - started
            found = json.loads((place / "manifest.json").read_text())
            share, effort = found["probed_recall"], found["effort"]
            facts[kind] = f"  builds in {took:.0f} s, probed {share:.1%} with effort {effort}"
            indexes[kind] = open_index(place, world.items)
        times: dict[str, list[float]] = {kind: [] for kind in indexes}
        lists: dict[str, Any] = {}
        for _ in range(3 if count < 500_000 else 1):
            for kind, index in indexes.items():
                took, lists[kind] = measured(world, index)
                times[kind].append(took)
        for kind, took in times.items():
            share = recall_of_scores(lists[kind].scores, lists["exact"].scores)
            print(f"{kind:<11}{users / min(took):8,.0f} users/s  finds {share:6.1%}{facts[kind]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
