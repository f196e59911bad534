"""Arms set beside each other, user by user: means, intervals, tests.

Spec: specs/experiments.md, R1 to R9 and R23. Source: Efron 1979 (bootstrap); Student 1908 (few
seeds); Fisher 1935 (flipped signs); Holm 1979. Differs: users and seeds drawn at once, as a
bootstrap of two factors has it (Owen 2007), count what belongs to a user under a seed more than
three times; here every source counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.errors import RunError, say
from mindref.experiments.hits import Hits
from mindref.shapes import Bools

RESAMPLES = 2000
CONFIDENCE = 0.95
TINY = 1e-40  # a probability that is left out of a sum


class Cases(NamedTuple):
    """Who was asked under which seed; the same for all arms."""

    users: Ints  # (U,) dense ids, rising
    asked: Bools  # (S, U)


def cases_of(arms: Sequence[Sequence[Hits]]) -> Cases:
    """Return the cases of all arms (each S seeds). Raises RunError where two arms have others."""
    first = arms[0]
    for other in arms[1:]:
        for mine, theirs in zip(first, other, strict=True):
            if not np.array_equal(mine.users, theirs.users):  # experiments-R1
                todo = "remove the runs of one of them"
                got = "others for two of the arms"
                raise RunError(say("test cases", "the same ones for all arms", got, todo))
    users = np.unique(np.concatenate([hits.users for hits in first]))
    return Cases(users, np.stack([np.isin(users, hits.users) for hits in first]))


def hit_at(hits: Sequence[Hits], cases: Cases, n: int) -> Floats:
    """Return 1 where the case of a user under a seed is hit at n, else 0, (S, U)."""
    table = np.zeros(cases.asked.shape)
    for row, one in zip(table, hits, strict=True):
        row[np.searchsorted(cases.users, one.users)] = (one.first > 0) & (one.first <= n)
    return table


def mean(table: Floats, cases: Cases) -> float:
    """Return the mean over all cases of all seeds."""
    return float(table.sum() / cases.asked.sum())  # experiments-R3


def by_seed(table: Floats, cases: Cases) -> list[float]:
    """Return the mean over the cases of each seed."""
    return [float(x) for x in table.sum(axis=1) / cases.asked.sum(axis=1)]


def spread(means: Sequence[float]) -> float | None:
    """Return the standard deviation over seeds, None for one seed."""
    return float(np.std(means, ddof=1)) if len(means) > 1 else None  # experiments-R4


class Samples(NamedTuple):
    """What R samples of users hold of M tables, and how far other seeds may lie from these."""

    hits: Floats  # (R, M, S)
    asked: Floats  # (R, S) cases
    away: Floats  # (R,) in standard errors of the mean of the seeds


def samples_of(
    tables: Floats, cases: Cases, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Samples:
    """Draw samples of users for tables (M, S, U), the same ones for all tables, and of seeds.

    A sample of users is as many as there are, drawn with replacement, each with the cases of all
    seeds. Seeds are too few to be drawn from: what the mean of others would be is Student's.
    """
    many, seeds, users = tables.shape
    flat, asked = tables.reshape(many * seeds, users).T, cases.asked.astype(float).T
    parts = []
    together = max(1, (1 << 22) // users)
    for start in range(0, resamples, together):
        rows = min(together, resamples - start)
        of_users = counts(rng.integers(0, users, (rows, users)), users)  # experiments-R5
        away = rng.standard_t(seeds - 1, rows) if seeds > 1 else np.zeros(rows)  # experiments-R6
        hit = (of_users @ flat).reshape(rows, many, seeds)
        parts.append(Samples(hit, of_users @ asked, away))
    return Samples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def sampled_means(table: Floats, hits: Floats, samples: Samples, cases: Cases) -> Floats:
    """Return the means of samples, of an arm or of a difference: table (S, U) and its hits (R, S).

    Users are one source of variance, and seeds another: a sample of users moves the mean, and so
    do so many standard errors of the mean of the seeds. But seeds deviate also because each meets
    users by chance, which the samples of users hold already; so the variance of the seeds is less
    that part which the users explain.
    """
    able = (samples.asked > 0).all(axis=1)  # a seed without a case has no mean: tiny logs alone
    hits, asked = hits[able], samples.asked[able]
    means = hits.sum(axis=1) / asked.sum(axis=1)
    seeds = len(table)
    if seeds == 1:
        return means
    own = np.array(by_seed(table, cases))
    apart, moved = own - own.mean(), hits / asked
    chance = np.square(moved - moved.mean(axis=1, keepdims=True) - apart).sum(axis=1).mean()
    left = max(0.0, np.square(apart).sum() - chance) / (seeds - 1)  # experiments-R23
    return means + samples.away[able] * np.sqrt(left / seeds)


def counts(drawn: Ints, many: int) -> Floats:
    """Return how often each of `many` stands in each row."""
    rows = len(drawn)
    flat = (drawn + np.arange(rows)[:, None] * many).ravel()
    return np.bincount(flat, minlength=rows * many).reshape(rows, many).astype(float)


def interval(means: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the percentiles between which the means of samples lie."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])  # experiments-R7
    return float(low), float(high)


def sign_flips(differences: Ints) -> float:
    """Return the p-value of the sign-flip test on whole differences of users (U,), two-sided.

    If neither arm is better, each user's difference might as well have the other sign. The p-value
    is the share of all 2^U choices of signs whose sum is as far from 0 as the one found. As the
    differences are small whole numbers, it is counted, not sampled: those of one size k sum to
    k (2 B - n) with B binomial.
    """
    from scipy.stats import binom

    sizes = np.abs(differences)
    masses, lowest, total = np.ones(1), 0, 0  # of the sum of sizes with a plus
    for size in np.unique(sizes[sizes > 0]).tolist():
        many = int((sizes == size).sum())
        mass = binom.pmf(np.arange(many + 1), many, 0.5)
        first, last = np.flatnonzero(mass > TINY)[[0, -1]]
        spaced = np.zeros((last - first) * size + 1)
        spaced[::size] = mass[first : last + 1]
        masses = np.convolve(masses, spaced)
        lowest, total = lowest + int(first) * size, total + many * size
    sums = 2 * (lowest + np.arange(len(masses))) - total
    far = np.abs(sums) >= abs(int(differences.sum()))  # experiments-R8
    return float(min(1.0, masses[far].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, each at most 1, in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * factors)  # experiments-R9
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]
