"""How well inner products can approximate DIN: why DIN cannot be a recall model.

Spec: specs/din.md, Why DIN cannot be indexed. Source: Eckart and Young 1936, the best approximation
of a matrix by one of low rank.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.errors import ConfigError, say
from mindref.models import din
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model, compute_interests
from mindref.recommender.serving.rerank import score_lists
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import RerankTrainer
from mindref.run.training_data import sample_cases, select_cases
from mindref.shapes import Array

USERS, CANDIDATES = 400, 20


def score_catalogue(model: Model, histories: Ragged, profiles: Ints) -> Array:
    """Return DIN's logit of every servable item for every history (C, M), in float64."""
    items = ServableItems.of(model.catalogue).ids
    every = np.broadcast_to(items, (len(histories), len(items)))
    return score_lists(model, every, histories, profiles).astype(np.float64)


def retained_by_rank(scores: Array, ranks: list[int], n: int = 10) -> dict[str, Any]:
    """Return how well matrices of these ranks approximate scores (C, N), users by items.

    The products of user vectors and item vectors of width r are a matrix of rank at most r. So an
    index with vectors of width r can only hold such a matrix. `rank`: rank of the scores. For each
    r, `missed`: relative squared error of the nearest matrix of rank r; `overlap`: fraction of each
    user's top-n items in the top n of this matrix, averaged over the users.
    Raises ConfigError for a rank or n beyond the matrix.
    """
    if min(ranks) < 1 or max(ranks) > min(scores.shape) or not 1 <= n <= scores.shape[1]:
        expected = f"ranks from 1 to {min(scores.shape)} and n to {scores.shape[1]}"
        raise ConfigError(say("retained_by_rank", expected, f"{ranks} and {n}"))
    left, sizes, right = np.linalg.svd(scores, full_matrices=False)
    threshold = sizes[0] * max(scores.shape) * np.finfo(np.float32).eps  # bound of rounding errors
    best = top_items(scores, n)
    by_rank = {}
    for r in ranks:
        nearest = (left[:, :r] * sizes[:r]) @ right[:r]  # din-R20
        also = top_items(nearest, n)
        same = [len(np.intersect1d(a, b)) for a, b in zip(best, also, strict=True)]
        missed = float((sizes[r:] ** 2).sum() / (sizes**2).sum())
        by_rank[str(r)] = {"missed": missed, "overlap": float(np.mean(same) / n)}
    return {"shape": list(scores.shape), "rank": int((sizes > threshold).sum()), "by_rank": by_rank}


def top_items(scores: Array, n: int) -> Ints:
    """Return the top-n items of each row, unordered."""
    return np.argpartition(-scores, n - 1, axis=1)[:, :n]


def user_vector_cosines(model: Model, histories: Ragged, profiles: Ints, candidates: Ints) -> Array:
    """Return the mean cosine between the user's vectors for two candidates of a list, (C,).

    candidates (C, M), M at least 2, without -1. The result is 1 for a model with one vector per
    user. A zero vector has cosine 0.
    """
    config = model.config
    behaviours = ServableItems.of(model.catalogue).select(histories)
    history, mask = pad_histories(behaviours, config.window)
    users = din.histories_without_logits(history, mask, profiles, config)
    _, saved = din.logits(model.params, users, candidates, model.catalogue, config)
    vectors = saved.users.astype(np.float64)  # (C, M, D)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    # sum over ordered pairs, including (i, i)
    m, alike = units.shape[1], (units.sum(axis=1) ** 2).sum(axis=1)
    return (alike - (units**2).sum(axis=(1, 2))) / (m * (m - 1))  # din-R21


def retained_of_recall(
    served: ServedModel, histories: Ragged, profiles: Ints, rows: int, n: int
) -> dict[str, object] | None:
    """Return `retained_by_rank` of the recall run at the width D of its vectors, as a control.

    The scores of the recall run are products of vectors of width D, so nothing may be missed. The
    matrix has one row for each active, non-zero interest of the histories, at most `rows`. The
    result is None if the matrix has at most D rows or columns, because any such matrix would pass.
    With logits="per_call" the logits are drawn from the seed.
    """
    behaviours = served.servable.select(histories)
    user_interests = compute_interests(served.model, behaviours, profiles, served.backend)
    queries = user_interests.vectors[user_interests.active].astype(np.float64)
    queries = queries[queries.any(axis=1)][:rows]
    scores = queries @ served.item_vectors.astype(np.float64).T
    width = queries.shape[1]
    if min(scores.shape) <= width:
        return None
    retained = retained_by_rank(scores, [width], n)  # din-R28
    nearest = retained["by_rank"][str(width)]
    return {"interests": len(queries), "width": width, "rank": retained["rank"], **nearest}


def measure_indexability(trainer: RerankTrainer, users: int = USERS) -> dict[str, object]:
    """Return how well inner products approximate a DIN model, and how much user vectors turn.

    The measurement uses at most `users` test cases, drawn with the seed. `turning`: mean cosine of
    the user vectors for the first CANDIDATES recalled items. `turning_most`: its 5 % quantile over
    the users. Both are None if no list is full. `recall`: the control with at most as many rows as
    users, or None; see `retained_of_recall`.
    """
    config, reranker = trainer.config, trainer.model()
    cases = sample_cases(trainer.prepared.split.test, users, config.seed)
    profiles, listed = trainer.candidates(cases, CANDIDATES)
    scores = score_catalogue(reranker, cases.histories, profiles)
    most = min(scores.shape)
    width = config.width  # D, the width of DIN's item vectors; also D / 2, 2 D and 4 D
    ranks = sorted({max(1, min(r, most)) for r in (width // 2, width, 2 * width, 4 * width)})
    n = min(10, scores.shape[1])
    rows = np.flatnonzero((listed.items >= 0).all(axis=1))
    cosines: Array = np.zeros(0)
    if len(rows):
        histories = select_cases(cases, rows).histories
        cosines = user_vector_cosines(reranker, histories, profiles[rows], listed.items[rows])
    return {
        "users": len(scores),
        "items": scores.shape[1],
        "width": width,
        "n": n,
        **retained_by_rank(scores, ranks, n),
        "recall": retained_of_recall(trainer.served, cases.histories, profiles, len(scores), n),
        "turning": float(cosines.mean()) if len(rows) else None,
        "turning_most": float(np.quantile(cosines, 0.05)) if len(rows) else None,
    }
