"""Why DIN is no recall model: how much of it the best inner product could keep.

Spec: specs/din.md, Why it cannot be indexed. Source: Eckart and Young 1936, the best approximation
of a matrix by one of low rank.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.batches import lay_out_histories
from mindref.data.log import Ints, Ragged
from mindref.errors import ConfigError, say
from mindref.models import din
from mindref.models.serving import interests, item_matrix
from mindref.recommender.prepared import choose, some_cases
from mindref.recommender.ranker import Ranker, plain
from mindref.recommender.ranking_run import RankingTrainer
from mindref.recommender.rerank import score_lists
from mindref.recommender.served import Served
from mindref.shapes import Array

USERS, CANDIDATES = 400, 20


def whole(ranker: Ranker, histories: Ragged, profiles: Ints) -> Array:
    """Return DIN's logit of every item of the catalogue for every history (C, N), in float64."""
    items = np.arange(len(ranker.catalogue.rows), dtype=np.int64)
    every = np.broadcast_to(items, (len(histories), len(items)))
    return score_lists(ranker, every, histories, profiles).astype(np.float64)


def kept_by_rank(scores: Array, ranks: list[int], n: int = 10) -> dict[str, Any]:
    """Return what the best matrices of these ranks keep of scores (C, N), users by items.

    An index holds item vectors that know no user: whatever they are, of width r, their products
    with vectors of users make a matrix of rank r at the most. `rank` is that of the scores;
    for each r stand the share of the squared scores that no such matrix reaches (`missed`), and
    the share of the users' n best items that the best of them finds (`found`).
    Raises ConfigError for a rank or n beyond the matrix.
    """
    if min(ranks) < 1 or max(ranks) > min(scores.shape) or not 1 <= n <= scores.shape[1]:
        expected = f"ranks from 1 to {min(scores.shape)} and n to {scores.shape[1]}"
        raise ConfigError(say("kept_by_rank", expected, f"{ranks} and {n}"))
    left, sizes, right = np.linalg.svd(scores, full_matrices=False)
    threshold = sizes[0] * max(scores.shape) * np.finfo(np.float32).eps  # what rounding may leave
    best = top(scores, n)
    by_rank = {}
    for r in ranks:
        nearest = (left[:, :r] * sizes[:r]) @ right[:r]  # din-R20
        also = top(nearest, n)
        same = [len(np.intersect1d(a, b)) for a, b in zip(best, also, strict=True)]
        missed = float((sizes[r:] ** 2).sum() / (sizes**2).sum())
        by_rank[str(r)] = {"missed": missed, "found": float(np.mean(same) / n)}
    return {"shape": list(scores.shape), "rank": int((sizes > threshold).sum()), "by_rank": by_rank}


def top(scores: Array, n: int) -> Ints:
    """Return the n best items of each row, in no order."""
    return np.argpartition(-scores, n - 1, axis=1)[:, :n]


def turning(ranker: Ranker, histories: Ragged, profiles: Ints, candidates: Ints) -> Array:
    """Return the mean cosine between the user's vectors for two candidates of a list, (C,).

    candidates (C, M), M from 2, none of them empty. One for a model whose user has one vector;
    a vector of length zero has cosine 0.
    """
    config = ranker.config
    history, mask = lay_out_histories(histories, config.window)
    given = plain(history, mask, profiles, config), candidates, ranker.catalogue, config
    users = din.logits(ranker.params, *given)[1].users.astype(np.float64)  # (C, M, D)
    lengths = np.linalg.norm(users, axis=2, keepdims=True)
    units = users / np.where(lengths > 0, lengths, 1)
    m, alike = units.shape[1], (units.sum(axis=1) ** 2).sum(axis=1)  # every pair twice, each once
    return (alike - (units**2).sum(axis=(1, 2))) / (m * (m - 1))  # din-R21


def kept_of_recall(
    served: Served, histories: Ragged, profiles: Ints, rows: int, n: int
) -> dict[str, Any] | None:
    """Return what the nearest matrix of its own width keeps of the run that recalls.

    The control of `kept_by_rank`: an index holds that run, so nothing may be missing. It has a row
    for each active interest of these histories that is not zero, as each asks the index for itself,
    and at most so many rows. None where these are not more than the vectors are wide, or the items
    not: every matrix would pass. Logits of `per_call` are those of the seed.
    """
    found = interests(served.model, histories, profiles, served.backend)
    queries = found.vectors[found.active].astype(np.float64)
    queries = queries[queries.any(axis=1)][:rows]
    scores = queries @ item_matrix(served.model).astype(np.float64).T
    width = queries.shape[1]
    if min(scores.shape) <= width:
        return None
    kept = kept_by_rank(scores, [width], n)  # din-R28
    nearest = kept["by_rank"][str(width)]
    return {"interests": len(queries), "width": width, "rank": kept["rank"], **nearest}


def demonstrate(trainer: RankingTrainer, users: int = USERS) -> dict[str, Any]:
    """Return what inner products keep of a stage, and how far a user's vector turns.

    On at most `users` test cases chosen by the seed. `turning` is the mean cosine over the first
    CANDIDATES recalled, `turning_most` the most that the twentieth of users has who turn most;
    None where nobody has two candidates. `recall` is the control, with no more rows than there are
    users, or None: see `kept_of_recall`.
    """
    config, made = trainer.config, trainer.ranker()
    cases = some_cases(trainer.prepared.split.test, users, config.seed)
    profiles, listed = trainer.candidates(cases, CANDIDATES)
    scores = whole(made, cases.histories, profiles)
    most = min(scores.shape)
    width = config.width  # that of an index of its own vectors; beside it half, and more
    ranks = sorted({max(1, min(r, most)) for r in (width // 2, width, 2 * width, 4 * width)})
    n = min(10, scores.shape[1])
    full = (listed.items >= 0).all(axis=1)
    rows = np.flatnonzero(full)
    cosines: Array = np.zeros(0)
    if len(rows):
        chosen = choose(cases, rows)
        cosines = turning(made, chosen.histories, profiles[rows], listed.items[rows])
    return {
        "users": len(scores),
        "items": scores.shape[1],
        "width": width,
        "n": n,
        **kept_by_rank(scores, ranks, n),
        "recall": kept_of_recall(trainer.served, cases.histories, profiles, len(scores), n),
        "turning": float(cosines.mean()) if len(rows) else None,
        "turning_most": float(np.quantile(cosines, 0.05)) if len(rows) else None,
    }
