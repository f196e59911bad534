"""What a ranked list is worth: values per case, and intervals by bootstrap over cases.

Spec: specs/metrics.md. Source: Järvelin and Kekäläinen 2002 (gain discounted by rank); Efron 1979;
Zhou et al., KDD 2018, section 6 (GAUC).
Differs: nothing is sampled, and the ideal is taken over what was relevant, not over what was hit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.errors import ConfigError, DataError, say
from mindref.shapes import Array, Bools

RESAMPLES = 1000
CONFIDENCE = 0.95


class Estimate(TypedDict):
    """A mean over cases and its interval, all in the unit of the metric, 0 to 1."""

    value: float
    low: float
    high: float


def hits(items: Ints, targets: Ragged) -> Bools:
    """Return where a list (C, n) of item ids, -1 for none, holds a target of its case, (C, n)."""
    base = 1 + max(items.max(initial=0), targets.values.max(initial=0))
    keys = np.arange(len(items))[:, None] * base + items
    found: Bools = np.isin(keys, pair_keys(targets, base)) & (items >= 0)  # metrics-R2
    return found


def distinct(rows: Ragged) -> Ints:
    """Return the number of distinct values in each row, (C,): a target named twice counts once."""
    base = 1 + rows.values.max(initial=0)
    pairs = np.unique(pair_keys(rows, base))  # metrics-R3
    return np.bincount(pairs // base, minlength=len(rows))


def pair_keys(rows: Ragged, base: int) -> Ints:
    """Return one number per pair of row and value: row r owns the numbers from r * base on."""
    return np.repeat(np.arange(len(rows)), rows.lengths) * base + rows.values


def hit_rate(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return 1 for each case with a target among its first n, else 0, (C,)."""
    return np.where(hit[:, :n].any(axis=1), 1.0, 0.0)  # metrics-R4


def recall(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return the share of the targets that stand among the first n, (C,)."""
    return hit[:, :n].sum(axis=1) / n_relevant  # metrics-R5


def ndcg(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return the discounted gain over that of the best list possible, (C,)."""
    discount = 1 / np.log2(np.arange(n) + 2)  # metrics-R6: rank 1 has discount 1
    ideal = np.cumsum(discount)[np.minimum(n_relevant, n) - 1]  # metrics-R7
    return hit[:, :n] @ discount / ideal


def mrr(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return one over the rank of the first target among the first n, 0 without one, (C,)."""
    first = hit[:, :n].argmax(axis=1)
    return hit[:, :n].any(axis=1) / (first + 1)  # metrics-R8


METRICS: Mapping[str, Callable[[Bools, Ints, int], Floats]] = {
    "hit_rate": hit_rate,
    "recall": recall,
    "ndcg": ndcg,
    "mrr": mrr,
}


def per_case(hit: Bools, n_relevant: Ints, at: Sequence[int]) -> dict[str, Floats]:
    """Return `name@N` -> values (C,) for every metric and every N of `at`.

    hit (C, n) with n >= max(at); n_relevant (C,), at least 1. Raises ConfigError, DataError.
    """
    if not at or min(at) < 1 or max(at) > hit.shape[1]:  # metrics-R26
        expected = f"list lengths from 1 to {hit.shape[1]}, the length of the ranked lists"
        raise ConfigError(say("metrics: at", expected, list(at)))
    if len(hit) == 0 or n_relevant.min() < 1:
        raise DataError(say("metrics", "cases with a target each", "none or some without"))
    return {f"{name}@{n}": f(hit, n_relevant, n) for n in at for name, f in METRICS.items()}


def coverage(items: Ints, n_items: int, n: int) -> float:
    """Return the share of the catalogue that stands among the first n of any list."""
    shown = np.unique(items[:, :n])
    return float(np.count_nonzero(shown >= 0) / n_items)  # metrics-R9


def estimates(
    values: Mapping[str, Floats],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Estimate]:
    """Return the mean of each metric over cases, with a percentile interval by bootstrap.

    One and the same resampling of cases serves all metrics, so that they can be compared.
    """
    table = np.column_stack(list(values.values()))  # (C, M)
    means = resampled_means(table, rng, resamples)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)  # metrics-R11
    rows = zip(values, values.values(), low, high, strict=True)
    return {m: Estimate(value=float(v.mean()), low=float(a), high=float(b)) for m, v, a, b in rows}


def resampled_means(table: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return the column means (resamples, M) of samples of the rows of table (C, M).

    Rows are drawn with replacement, as many as there are. A sample is held as how often each row
    was drawn, so that its mean is a product: the numbers of a gather, sooner on large logs.
    """
    cases = len(table)
    together = max(1, (1 << 22) // cases)
    means = []
    for start in range(0, resamples, together):
        rows = min(together, resamples - start)
        drawn = rng.integers(0, cases, (rows, cases))  # metrics-R10
        flat = (drawn + np.arange(rows)[:, None] * cases).ravel()
        weights = np.bincount(flat, minlength=rows * cases).reshape(rows, cases)
        means.append(weights @ table / cases)
    return np.concatenate(means)


def auc(scores: Array, hit: Bools, shown: Bools) -> Floats:
    """Return the area under the curve of each case, (C,): NaN where one of the two is missing.

    It is the share of pairs of a hit and another candidate that the scores (C, n) put in this
    order, equal scores counting half. shown (C, n) says which places hold a candidate.
    """
    values = np.full(len(scores), np.nan)  # metrics-R28
    for case, (score, is_hit, is_shown) in enumerate(zip(scores, hit, shown, strict=True)):
        wanted, others = score[is_hit & is_shown], score[~is_hit & is_shown]
        if len(wanted) and len(others):
            gap = wanted[:, None] - others
            values[case] = (np.where(gap == 0, 0.5, gap > 0)).mean()  # metrics-R27
    return values


def gauc(
    values: Floats, impressions: Ints, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Estimate:
    """Return the mean of the cases' AUC, weighted by impressions, over those that have one.

    values (C,) from `auc`, impressions (C,) the number of candidates. The interval is that of a
    ratio of two sums over the same sample of cases. Raises DataError where no case has an AUC.
    """
    known = ~np.isnan(values)  # metrics-R28
    if not known.any():
        raise DataError(say("gauc", "a case with a hit and another candidate", "none"))
    weights = impressions[known].astype(np.float64)
    table = np.column_stack([values[known] * weights, weights])
    sampled = resampled_means(table, rng, resamples)  # metrics-R30
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(sampled[:, 0] / sampled[:, 1], [tail, 100 - tail])
    total = table.sum(axis=0)
    return Estimate(
        value=float(total[0] / total[1]), low=float(low), high=float(high)
    )  # metrics-R29
