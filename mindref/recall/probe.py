"""Measure the recall and the time of an index.

Spec: specs/recall.md, recall-R23, R27, R32.
"""

from __future__ import annotations

import time

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.approximate import ApproximateIndex
from mindref.recall.exact import ExactIndex
from mindref.recall.index import EFFORT_ITEMS, Index, nearest_items
from mindref.recall.retrieval import ItemFilter, retrieve_top_n
from mindref.shapes import Array

NUM_PROBES = 200  # queries
MIN_RECALL = 0.95  # required of an index
# that recommending is timed with: users, items asked for, excluded
TIMED_USERS, TIMED_N, TIMED_EXCLUDED = 256, 20, 50


def probe_recall(index: ApproximateIndex, queries: Array) -> float:
    """Return the recall of an index, after increasing its effort.

    The effort grows until recall is MIN_RECALL, or to the maximum effort. queries (Q, D).
    """
    n, max_effort = min(EFFORT_ITEMS, len(index.items)), int(index.structure.max_effort)
    exact_scores = nearest_items(ExactIndex(index.items), queries, n).scores
    while True:
        recall = recall_of_scores(nearest_items(index, queries, n).scores, exact_scores)
        if recall >= MIN_RECALL or index.effort >= max_effort:
            return recall
        increased = index.effort + -(-index.effort // 2)
        index.effort = min(increased, max_effort)  # recall-R32


def seconds_per_user(index: Index, users: Array) -> float:
    """Return the seconds per user (C, K, D) of search, merging and exclusion together.

    The time of the search is not enough: an approximate index searches once per interest, and for
    longer lists.
    """
    ids = np.linspace(0, len(index.items) - 1, TIMED_EXCLUDED).astype(np.int64)
    excluded = Ragged.of([np.unique(ids)] * len(users))
    active = np.ones(users.shape[:2], np.bool_)
    # warm-up: compiles, and reads the mapped file
    retrieve_top_n(index, users[:1], active[:1], n=TIMED_N)
    started = time.perf_counter()
    retrieve_top_n(index, users, active, n=TIMED_N, item_filter=ItemFilter(exclude=excluded))
    return (time.perf_counter() - started) / len(users)


def recall_of_scores(scores: Array, exact_scores: Array) -> float:
    """Return the fraction of items whose score is at least the last true score; ties count."""
    return float((scores >= exact_scores[:, -1:]).mean())  # recall-R27


def evenly_spaced_rows(rows: Array, limit: int) -> Array:
    """Return up to `limit` evenly spaced rows."""
    indices = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), limit)).astype(int))
    selected: Array = rows[indices]
    return selected


def group_queries(queries: Array, interests: int) -> Array:
    """Return up to 256 users (C, K, D), each with K consecutive queries as interests."""
    queries_per_user = min(interests, len(queries))
    num_users = len(queries) // queries_per_user
    users = queries[: num_users * queries_per_user].reshape(num_users, queries_per_user, -1)
    return evenly_spaced_rows(users, TIMED_USERS)
