"""Measure hit rate and diversity of lists with a limit of items per interest.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.per_interest RUN

RUN: a run on a log with the item feature `genres`, such as MovieLens-1M. Each test case of the run
gets a list of 50 items without seen items. Printed are, for each limit: hit rate with a 95 %
interval (bootstrap over users), and means over the lists: items, distinct interests, items of the
most frequent interest, distinct genres, and the mean Jaccard distance of the genres of two items.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.evaluation import metrics
from mindref.models import features
from mindref.recall.top_n import TopN
from mindref.recommender.serving import ServedModel
from mindref.recommender.top_n_lists import recommend_batch
from mindref.run.source import LoadedLog
from mindref.run.training_data import prepare_training

LIMITS, LENGTH = (None, 25, 20, 15), 50
FEATURE = "genres"


def genre_matrix(served: ServedModel) -> Any:
    """Return which items (N) have which values (G) of the feature."""
    values = next(x for x in served.log.item_features if x.name == FEATURE)
    matrix = np.zeros((len(served.items.ids), len(values.values)), np.bool_)
    rows = np.repeat(np.arange(len(values.codes)), values.codes.lengths)
    matrix[rows, values.codes.values] = True
    return matrix


def mean_distance(genres: Any) -> float:
    """Return the mean Jaccard distance of two items of genres (n, G)."""
    both = genres.astype(np.float64) @ genres.T.astype(np.float64)
    sizes = genres.sum(axis=1)
    either = sizes[:, None] + sizes - both
    pairs = np.triu_indices(len(genres), 1)
    return float((1 - both / np.maximum(either, 1))[pairs].mean()) if len(pairs[0]) else 0.0


def describe_lists(ranked: TopN, targets: Ragged, genres: Any) -> list[str]:
    """Return the figures of the lists as cells of a table."""
    hits = metrics.hit_mask(ranked.items, targets).any(axis=1).astype(np.float64)
    estimate = metrics.bootstrap_estimates({"hit_rate": hits}, make_rng(0, "bootstrap"))["hit_rate"]
    rows = zip(ranked.interests, ranked.items, strict=True)
    lists = [(interests[ids >= 0], ids[ids >= 0]) for interests, ids in rows]
    columns = [
        [len(ids) for _, ids in lists],
        [len(np.unique(interests)) for interests, _ in lists],
        [np.bincount(interests).max(initial=0) for interests, _ in lists],
        [genres[ids].any(axis=0).sum() for _, ids in lists],
    ]
    distance = np.mean([mean_distance(genres[ids]) for _, ids in lists])
    interval = f"{estimate['value']:.4f} [{estimate['low']:.4f}, {estimate['high']:.4f}]"
    return [interval, *(f"{np.mean(column):.2f}" for column in columns), f"{distance:.4f}"]


def main(run: Path) -> None:
    """Print a Markdown table."""
    served = ServedModel.load(run)
    log = LoadedLog(served.source.again().log)
    cases = prepare_training(log, served.facts["protocol"], served.model.config).split.test
    profiles = features.user_profiles(served.log, served.vocabulary, cases.users)
    genres = genre_matrix(served)
    heads = "items", "interests", "of the most frequent interest", "genres", "genre distance"
    print(f"| per interest | HR@{LENGTH} | {' | '.join(heads)} |\n|--|--:|--:|--:|--:|--:|--:|")
    for limit in LIMITS:
        ranked, _ = recommend_batch(
            served.model, cases.histories, profiles, n=LENGTH, exclude=cases.histories,
            backend=served.backend, per_interest=limit,
        )  # fmt: skip
        cells = [str(limit or "no limit"), *describe_lists(ranked, cases.targets, genres)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
