"""The ranking stage: what a run recalled, put in order by DIN, and what that is worth.

Spec: specs/din.md (Ranking), specs/metrics.md (GAUC).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mindref.data.batches import lay_out_histories
from mindref.data.log import Floats, Ints, Ragged
from mindref.data.splits import Cases
from mindref.errors import DataError, ShapeError, say
from mindref.evaluation import metrics
from mindref.evaluation.top_n import Ranked
from mindref.models import din
from mindref.recommender.ranker import Ranker, plain
from mindref.shapes import Array

PAIRS = 1 << 18  # of behaviour and candidate at a time: bounds memory


def rerank(
    ranker: Ranker, ranked: Ranked, histories: Ragged, profiles: Ints, n: int | None = None
) -> Ranked:
    """Put the items of each list in order of DIN's scores; the interests go with them.

    n: how many of each list are returned, the best ones by their scores, or all.

    histories (C rows) and profiles (C, G) of the lists' users. Equal scores keep their order, and
    empty places stay at the end. Raises ShapeError, or DataError for a score that is no number.
    """
    if not len(ranked.items) == len(histories) == len(profiles):
        got = f"{len(ranked.items)}, {len(histories)} and {len(profiles)}"
        raise ShapeError(say("rerank", "a list, a history and a profile a case", got))
    scores = score_lists(ranker, ranked.items, histories, profiles)
    order = np.argsort(-scores, axis=1, kind="stable")  # din-R18: -inf, and so the empty, last
    order = order[:, :n]  # din-R25
    items, interests = (np.take_along_axis(x, order, 1) for x in (ranked.items, ranked.interests))
    return Ranked(items, np.take_along_axis(scores, order, 1), interests)


def score_lists(ranker: Ranker, items: Ints, histories: Ragged, profiles: Ints) -> Array:
    """Return DIN's score of each item of each list (C, n), -inf in an empty place."""
    config = ranker.config
    history, mask = lay_out_histories(histories, config.window)
    there = items >= 0
    candidates = np.where(there, items, 0)
    block = max(1, PAIRS // max(1, items.shape[1] * config.window))
    parts = [np.zeros((0, items.shape[1]), config.dtype)]
    for at in range(0, len(items), block):
        some = slice(at, at + block)
        users = plain(history[some], mask[some], profiles[some], config)
        given = ranker.params, users, candidates[some], ranker.catalogue, config
        parts.append(din.scores(*given))
    scores = np.concatenate(parts)
    if not np.isfinite(scores[there]).all():
        raise DataError(say("rerank: scores", "finite numbers", "infinity or NaN"))
    return np.where(there, scores, -np.inf)


def gain(
    before: Ranked,
    after: Ranked,
    cases: Cases,
    *,
    at: Sequence[int] = (10,),
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return what two orders of the same candidates are worth, and the gain from one to the other.

    `all`: over the cases with a target; `within`: over those with a target among the candidates,
    where an order can change anything. Each holds hit_rate@N and ndcg@N of `before` and `after`,
    and their difference case by case as `gain`, with intervals; `within` has the GAUC besides,
    whose gain is that of each case's area.
    Raises ShapeError for lists of other items, DataError where no candidate is a target.
    """
    if not np.array_equal(np.sort(before.items, axis=1), np.sort(after.items, axis=1)):
        raise ShapeError(say("gain", "two orders of the same candidates", "other items"))
    relevant = metrics.distinct(cases.targets)
    hit = [metrics.hits(some.items, cases.targets) for some in (before, after)]
    asked, found = relevant > 0, hit[0].any(axis=1)
    if not found.any():
        raise DataError(say("gain", "a case with a target among its candidates", "none"))
    report: dict[str, Any] = {"candidates": before.items.shape[1]}
    for name, chosen in (("all", asked), ("within", found)):  # din-R19
        old, new = (metrics.per_case(h[chosen], relevant[chosen], at) for h in hit)
        report[name] = {"cases": int(chosen.sum()), **compared(old, new, rng)}
    shown = (before.items >= 0).sum(axis=1)  # as many in either order
    areas = [
        metrics.auc(some.scores, h, some.items >= 0)
        for some, h in zip((before, after), hit, strict=True)
    ]
    values = {"before": areas[0], "after": areas[1], "gain": areas[1] - areas[0]}  # din-R19
    for name, area in values.items():
        report["within"][name]["gauc"] = metrics.gauc(area, shown, rng)
    return report


def compared(
    before: dict[str, Floats], after: dict[str, Floats], rng: np.random.Generator
) -> dict[str, Any]:
    """Return estimates of two tables of values per case, and of their difference."""
    kept = [name for name in before if name.startswith(("hit_rate@", "ndcg@"))]
    tables = {
        "before": {name: before[name] for name in kept},
        "after": {name: after[name] for name in kept},
        "gain": {name: after[name] - before[name] for name in kept},  # din-R19: case by case
    }
    return {name: metrics.estimates(values, rng) for name, values in tables.items()}
