"""What an index finds and costs, measured before it is kept.

Spec: specs/recall.md, recall-R23, R27, R32.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.approximate import ApproximateIndex
from mindref.recall.exact import ExactIndex
from mindref.recall.index import PER, Index, nearest
from mindref.recall.search import recommend
from mindref.shapes import Array

PROBES = 200  # queries
ENOUGH = 0.95  # recall at which an index is judged
USERS, LIST, SEEN = 256, 20, 50  # that recommending is timed with: users, items asked for, excluded


class Probed(NamedTuple):
    """What a measurement found."""

    effort: int
    recall: float


def probe(index: ApproximateIndex, queries: Array) -> Probed:
    """Let the index make more and more of an effort, until recall is enough or it can do no more.

    queries (Q, D). The effort stays with the index.
    """
    n, most = min(PER, len(index.items)), int(index.structure.most)
    truth = nearest(ExactIndex(index.items), queries, n).scores
    while True:
        recall = share_found(nearest(index, queries, n).scores, truth)
        if recall >= ENOUGH or index.effort >= most:
            return Probed(index.effort, recall)
        more = index.effort + -(-index.effort // 2)
        index.effort = min(more, most)  # recall-R32


def seconds(index: Index, users: Array) -> float:
    """Return what a user (C, K, D) takes, all told: searches, merging and exclusion.

    A bare search would flatter an index, which is asked once an interest and for longer lists.
    """
    places = np.linspace(0, len(index.items) - 1, SEEN).astype(np.int64)
    seen = Ragged.of([np.unique(places)] * len(users))
    active = np.ones(users.shape[:2], np.bool_)
    recommend(index, users[:1], active[:1], n=LIST)  # compiles, and maps what a file has
    started = time.perf_counter()
    recommend(index, users, active, n=LIST, exclude=seen)
    return (time.perf_counter() - started) / len(users)


def share_found(scores: Array, truth: Array) -> float:
    """Return the share of places with a score as good as the worst true one: a tie is no miss."""
    return float((scores >= truth[:, -1:]).mean())  # recall-R27


def spread(rows: Array, most: int) -> Array:
    """Return up to `most` rows from all over."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))
    chosen: Array = rows[places]
    return chosen


def users_of(queries: Array, interests: int) -> Array:
    """Return up to 256 users (C, K, D), each with neighbouring queries for interests."""
    width = min(interests, len(queries))
    whole = len(queries) // width
    users = queries[: whole * width].reshape(whole, width, -1)
    return spread(users, USERS)
