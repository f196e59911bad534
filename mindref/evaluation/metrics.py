"""Metrics of top-n lists: values per case, and intervals by bootstrap over cases.

Spec: specs/metrics.md. Source: Järvelin and Kekäläinen 2002 (gain discounted by rank); Efron 1979;
Zhou et al., KDD 2018, section 6 (GAUC).
Differs: the whole catalogue is ranked, not a sample. The ideal gain is that of all targets, not of
the targets that were hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypedDict

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.errors import ConfigError, DataError, say
from mindref.shapes import Array, Bools

RESAMPLES = 1000
CONFIDENCE = 0.95


class Estimate(TypedDict):
    """A mean over cases and its interval, in the unit of the metric, 0 to 1."""

    value: float
    low: float
    high: float


def hit_mask(items: Ints, targets: Ragged) -> Bools:
    """Return which item ids of lists (C, n), -1 for none, are targets of their case, (C, n)."""
    base = 1 + max(items.max(initial=0), targets.values.max(initial=0))
    keys = np.arange(len(items))[:, None] * base + items
    is_hit: Bools = np.isin(keys, targets.keys(base)) & (items >= 0)  # metrics-R2
    return is_hit


def count_distinct(rows: Ragged) -> Ints:
    """Return the number of distinct values of each row, (C,). A repeated target counts once."""
    base = 1 + rows.values.max(initial=0)
    pairs = np.unique(rows.keys(base))  # metrics-R3
    return np.bincount(pairs // base, minlength=len(rows))


def hit_rate_at(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return 1 for each case with a target in the top n, else 0, (C,)."""
    return np.where(hit[:, :n].any(axis=1), 1.0, 0.0)  # metrics-R4


def recall_at(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return the fraction of the targets in the top n, (C,)."""
    return hit[:, :n].sum(axis=1) / n_relevant  # metrics-R5


def ndcg_at(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return the discounted gain divided by the gain of the best possible list, (C,)."""
    discount = 1 / np.log2(np.arange(n) + 2)  # metrics-R6: rank 1 has discount 1
    ideal = np.cumsum(discount)[np.minimum(n_relevant, n) - 1]  # metrics-R7
    return hit[:, :n] @ discount / ideal


def mrr_at(hit: Bools, n_relevant: Ints, n: int) -> Floats:
    """Return 1 / rank of the first target in the top n, 0 without a target, (C,)."""
    first = hit[:, :n].argmax(axis=1)
    return hit[:, :n].any(axis=1) / (first + 1)  # metrics-R8


METRICS: Mapping[str, Callable[[Bools, Ints, int], Floats]] = {
    "hit_rate": hit_rate_at,
    "recall": recall_at,
    "ndcg": ndcg_at,
    "mrr": mrr_at,
}


def metrics_per_case(
    hit: Bools, n_relevant: Ints, list_lengths: Sequence[int]
) -> dict[str, Floats]:
    """Return `name@N` -> values (C,) for every metric and every N of `list_lengths`.

    hit (C, n) with n >= max(list_lengths). n_relevant (C,), at least 1. Raises ConfigError,
    DataError.
    """
    if not list_lengths or min(list_lengths) < 1 or max(list_lengths) > hit.shape[1]:  # metrics-R26
        expected = f"list lengths from 1 to {hit.shape[1]}, the length of the ranked lists"
        raise ConfigError(say("metrics: list_lengths", expected, list(list_lengths)))
    if len(hit) == 0 or n_relevant.min() < 1:
        raise DataError(say("metrics", "cases with a target each", "none or some without"))
    return {
        f"{name}@{n}": f(hit, n_relevant, n) for n in list_lengths for name, f in METRICS.items()
    }


def catalogue_coverage(items: Ints, n_items: int, n: int) -> float:
    """Return the fraction of the catalogue that is in the top n of any case."""
    recommended = np.unique(items[:, :n])
    return float(np.count_nonzero(recommended >= 0) / n_items)  # metrics-R9


def bootstrap_estimates(
    values: Mapping[str, Floats],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Estimate]:
    """Return the mean of each metric over cases, with a percentile interval by bootstrap.

    All metrics use the same resampled cases, so that the intervals can be compared.
    """
    table = np.column_stack(list(values.values()))  # (C, M)
    means = resampled_means(table, rng, resamples)
    estimates = {}
    for name, sampled in zip(values, means.T, strict=True):
        low, high = percentile_interval(sampled, confidence)
        estimates[name] = Estimate(value=float(values[name].mean()), low=low, high=high)
    return estimates


def resampled_means(table: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return the column means (resamples, M) of bootstrap samples of the rows of table (C, M).

    A sample has C rows, drawn with replacement. It is stored as the count of each row. So the mean
    is a matrix product, which is faster than a gather on large logs.
    """
    cases = len(table)
    blocks = [weights @ table / cases for weights in sample_counts(cases, rng, resamples)]
    return np.concatenate(blocks)


def sample_counts(cases: int, rng: np.random.Generator, resamples: int) -> Iterator[Floats]:
    """Yield blocks (rows, cases): how often each bootstrap sample, a row, has each case."""
    samples_per_block = max(1, (1 << 22) // cases)
    for start in range(0, resamples, samples_per_block):
        rows = min(samples_per_block, resamples - start)
        sampled_cases = rng.integers(0, cases, (rows, cases))  # metrics-R10
        flat = (sampled_cases + np.arange(rows)[:, None] * cases).ravel()
        yield np.bincount(flat, minlength=rows * cases).reshape(rows, cases).astype(np.float64)


def auc_per_case(scores: Array, hit: Bools, is_candidate: Bools) -> Floats:
    """Return the AUC of each case, (C,), NaN without a hit or without another candidate.

    AUC is the fraction of pairs of a hit and another candidate in which the hit has the higher
    score of scores (C, n). Equal scores count half. is_candidate (C, n) is False at padding.
    """
    values = np.full(len(scores), np.nan)  # metrics-R28
    for case, (score, is_hit, is_valid) in enumerate(zip(scores, hit, is_candidate, strict=True)):
        hit_scores, other_scores = score[is_hit & is_valid], score[~is_hit & is_valid]
        if len(hit_scores) and len(other_scores):
            gap = hit_scores[:, None] - other_scores
            values[case] = (np.where(gap == 0, 0.5, gap > 0)).mean()  # metrics-R27
    return values


def grouped_auc(
    values: Floats, impressions: Ints, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Estimate:
    """Return the mean AUC of the cases with an AUC, weighted by impressions.

    values (C,) from `auc_per_case`, impressions (C,) the number of candidates. The interval is that
    of the ratio of two sums over the same bootstrap sample. Raises DataError without any AUC.
    """
    has_auc = ~np.isnan(values)  # metrics-R28
    if not has_auc.any():
        raise DataError(say("gauc", "a case with a hit and another candidate", "none"))
    weights = impressions[has_auc].astype(np.float64)
    table = np.column_stack([values[has_auc] * weights, weights])
    sampled = resampled_means(table, rng, resamples)  # metrics-R30
    low, high = percentile_interval(sampled[:, 0] / sampled[:, 1])
    total = table.sum(axis=0)
    return Estimate(value=float(total[0] / total[1]), low=low, high=high)  # metrics-R29


def percentile_interval(means: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the central interval of sample means (R,) that holds the given fraction."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])  # metrics-R11
    return float(low), float(high)
