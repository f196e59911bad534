"""Paired comparison of arms, user by user: means, intervals, tests, and the estimates of a table.

Spec: specs/experiments.md, R1 to R10 and R22. Source: Efron 1979 (bootstrap); Student 1908 (few
seeds); Fisher 1935 (sign flips); Holm 1979. Differs: a two-factor bootstrap of users and seeds
(Owen 2007) counts the variance of user-seed pairs 2.3 times for three seeds; here each source of
variance counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.data.rng import make_rng
from mindref.errors import RunError, say
from mindref.evaluation.metrics import Estimate, percentile_interval, sample_counts
from mindref.experiments.first_hits import FirstHits
from mindref.shapes import Bools

RESAMPLES = 2000
SIGNIFICANCE = 0.05  # for p-values adjusted for all comparisons of a table
MIN_PROBABILITY = 1e-40  # smaller probabilities are dropped from a sum


class HitRate(Estimate):
    """The hit rate of an arm at one N."""

    sd: float | None  # over seeds; None for one seed
    by_seed: list[float]


class HitRateDifference(TypedDict):
    """The hit rate of an arm minus that of its opponent at one N."""

    difference: float
    low: float
    high: float
    percent: float | None  # of the opponent; None if its hit rate is 0
    p: float
    p_holm: NotRequired[float]  # adjusted for the comparisons of a table


Estimates = dict[str, HitRate]  # by `hit_rate@N`
Differences = dict[str, HitRateDifference]


class EvaluatedCases(NamedTuple):
    """Which users have a test case with a seed; the same for all arms."""

    users: Ints  # (U,) dense ids, increasing
    present: Bools  # (S, U)


def common_cases(arms: Sequence[Sequence[FirstHits]]) -> EvaluatedCases:
    """Return the cases of all arms (S seeds each). Raises RunError if two arms have other cases."""
    first = arms[0]
    for arm in arms[1:]:
        for first_hits, hits in zip(first, arm, strict=True):
            if not np.array_equal(first_hits.users, hits.users):  # experiments-R1
                todo = "remove the runs of one of the arms"
                got = "different cases for two arms"
                raise RunError(say("test cases", "the same for all arms", got, todo))
    users = np.unique(np.concatenate([hits.users for hits in first]))
    return EvaluatedCases(users, np.stack([np.isin(users, hits.users) for hits in first]))


def hit_table(hits: Sequence[FirstHits], cases: EvaluatedCases, n: int) -> Floats:
    """Return (S, U): 1 if the case of a user with a seed is a hit at n, else 0."""
    table = np.zeros(cases.present.shape)
    for row, seed_hits in zip(table, hits, strict=True):
        hit = (seed_hits.first > 0) & (seed_hits.first <= n)
        row[np.searchsorted(cases.users, seed_hits.users)] = hit
    return table


def mean_hit_rate(table: Floats, cases: EvaluatedCases) -> float:
    """Return the mean over all cases of all seeds."""
    return float(table.sum() / cases.present.sum())  # experiments-R3


def seed_means(table: Floats, cases: EvaluatedCases) -> list[float]:
    """Return the mean over the cases of each seed."""
    return [float(x) for x in table.sum(axis=1) / cases.present.sum(axis=1)]


def seed_deviation(means: Sequence[float]) -> float | None:
    """Return the standard deviation over seeds, None for one seed."""
    return float(np.std(means, ddof=1)) if len(means) > 1 else None  # experiments-R4


class BootstrapSamples(NamedTuple):
    """R bootstrap samples of users for M tables, and random errors of the mean over seeds."""

    hits: Floats  # (R, M, S)
    num_cases: Floats  # (R, S)
    seed_errors: Floats  # (R,) in standard errors of the mean over seeds


def draw_samples(
    tables: Floats, cases: EvaluatedCases, rng: np.random.Generator, resamples: int = RESAMPLES
) -> BootstrapSamples:
    """Draw samples for tables (M, S, U), the same users for all tables.

    A sample has as many users as there are, drawn with replacement, each with the cases of all
    seeds. There are too few seeds to resample: their mean has Student's t-distribution.
    """
    num_tables, seeds, users = tables.shape
    flat, present = tables.reshape(num_tables * seeds, users).T, cases.present.astype(float).T
    parts = []
    for of_users in sample_counts(users, rng, resamples):  # experiments-R5
        rows = len(of_users)
        errors = rng.standard_t(seeds - 1, rows) if seeds > 1 else np.zeros(rows)  # experiments-R6
        hits = (of_users @ flat).reshape(rows, num_tables, seeds)
        parts.append(BootstrapSamples(hits, of_users @ present, errors))
    return BootstrapSamples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def sampled_means(
    table: Floats, hits: Floats, samples: BootstrapSamples, cases: EvaluatedCases
) -> Floats:
    """Return the mean of each sample for an arm or a difference: table (S, U), its hits (R, S).

    Users and seeds are two sources of variance. The mean of a sample varies with its users, plus a
    random multiple of the standard error of the mean over seeds. Seed means also vary because of
    their users; this variance is already in the samples, so it is subtracted from the variance
    over seeds.
    """
    valid = (samples.num_cases > 0).all(axis=1)  # on tiny logs a seed may have no case
    hits, num_cases = hits[valid], samples.num_cases[valid]
    means = hits.sum(axis=1) / num_cases.sum(axis=1)
    seeds = len(table)
    if seeds == 1:
        return means
    over_seeds = np.array(seed_means(table, cases))
    deviation, sampled = over_seeds - over_seeds.mean(), hits / num_cases
    sampled_deviation = sampled - sampled.mean(axis=1, keepdims=True)
    user_variance = np.square(sampled_deviation - deviation).sum(axis=1).mean()
    excess = max(0.0, np.square(deviation).sum() - user_variance) / (seeds - 1)  # experiments-R22
    return means + samples.seed_errors[valid] * np.sqrt(excess / seeds)


def sign_flip_test(differences: Ints) -> float:
    """Return the two-sided p-value of the sign-flip test on integer differences of users (U,).

    If the arms are equal, the sign of each difference is random. The p-value is the fraction of the
    2^U sign choices whose sum is at least as far from 0 as the observed sum. It is computed
    exactly: n differences of size k sum to k (2 B - n), where B is binomial.
    """
    from scipy.stats import binom

    sizes = np.abs(differences)
    masses, lowest, total = np.ones(1), 0, 0  # distribution of the sum of positive sizes
    for size in np.unique(sizes[sizes > 0]).tolist():
        count = int((sizes == size).sum())
        mass = binom.pmf(np.arange(count + 1), count, 0.5)
        first, last = np.flatnonzero(mass > MIN_PROBABILITY)[[0, -1]]
        spaced = np.zeros((last - first) * size + 1)
        spaced[::size] = mass[first : last + 1]
        masses = np.convolve(masses, spaced)
        lowest, total = lowest + int(first) * size, total + count * size
    sums = 2 * (lowest + np.arange(len(masses))) - total
    far = np.abs(sums) >= abs(int(differences.sum()))  # experiments-R8
    return float(min(1.0, masses[far].sum()))


def holm_adjust(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm), each at most 1, in the given order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * factors)  # experiments-R9
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]


def estimate_arms(
    arms: Mapping[str, Sequence[FirstHits]],
    pairs: Sequence[tuple[str, str]],
    lengths: Sequence[int],
    resamples: int = RESAMPLES,
) -> tuple[dict[str, Estimates], dict[tuple[str, str], Differences], EvaluatedCases]:
    """Return the estimates of arms, the differences of pairs (arm, opponent), and the cases.

    arms: name -> hits for each seed. The p-values of all pairs are adjusted together.
    """
    cases = common_cases(list(arms.values()))
    tables = {
        name: np.stack([hit_table(hits, cases, n) for n in lengths]) for name, hits in arms.items()
    }
    samples = draw_samples(
        np.concatenate(list(tables.values())), cases, make_rng(0, "bootstrap"), resamples
    )
    sampled_hits = dict(zip(arms, np.split(samples.hits, len(arms), axis=1), strict=True))
    estimates: dict[str, Estimates] = {name: {} for name in arms}
    differences: dict[tuple[str, str], Differences] = {pair: {} for pair in pairs}
    for index, n in enumerate(lengths):
        metric = f"hit_rate@{n}"
        for name in arms:
            hits = sampled_hits[name][:, index]
            estimates[name][metric] = estimate_hit_rate(tables[name][index], hits, samples, cases)
        for name, opponent in pairs:
            # differences within each sample cancel variance common to both arms, as of easy users
            table = tables[name][index] - tables[opponent][index]
            hits = sampled_hits[name][:, index] - sampled_hits[opponent][:, index]
            means = sampled_means(table, hits, samples, cases)
            low, high = percentile_interval(means)  # experiments-R7
            value, base_rate = (mean_hit_rate(x, cases) for x in (table, tables[opponent][index]))
            differences[name, opponent][metric] = {
                "difference": value,
                "low": low,
                "high": high,
                "percent": 100 * value / base_rate if base_rate else None,
                "p": sign_flip_test(table.sum(axis=0).astype(np.int64)),
            }
    rows = [row for pair in differences.values() for row in pair.values()]
    for row, p_holm in zip(rows, holm_adjust([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p_holm
    return estimates, differences, cases


def estimate_hit_rate(
    table: Floats, hits: Floats, samples: BootstrapSamples, cases: EvaluatedCases
) -> HitRate:
    """Return the mean of a table (S, U) with its hits (R, S), the interval and the deviation."""
    low, high = percentile_interval(sampled_means(table, hits, samples, cases))
    means = seed_means(table, cases)
    return {
        "value": mean_hit_rate(table, cases),
        "low": low,
        "high": high,
        "sd": seed_deviation(means),
        "by_seed": means,
    }


def overall_verdict(differences: Differences) -> str:
    """Return the verdict of the differences at all N.

    A difference counts if both its adjusted p-value (over arms) and its interval (over seeds) show
    it.
    """
    significant = [row for row in differences.values() if row["p_holm"] < SIGNIFICANCE]
    above = any(row["low"] > 0 for row in significant)
    below = any(row["high"] < 0 for row in significant)
    if above and below:  # experiments-R10
        return "mixed"
    return "better" if above else "worse" if below else "no difference shown"
