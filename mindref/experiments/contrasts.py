"""Estimates for the tables: the hit rate of each arm, and its difference to the opponent.

Spec: specs/experiments.md, R3 to R10 and R23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Floats
from mindref.data.rng import make_rng
from mindref.experiments import paired_tests
from mindref.experiments.first_hits import FirstHits
from mindref.experiments.paired_tests import BootstrapSamples, EvaluatedCases

SIGNIFICANCE = 0.05  # for p-values adjusted for all comparisons of a table
Estimates = dict[str, dict[str, Any]]  # `hit_rate@N` -> numbers


def estimate_arms(
    arms: Mapping[str, Sequence[FirstHits]],
    pairs: Sequence[tuple[str, str]],
    lengths: Sequence[int],
    resamples: int = paired_tests.RESAMPLES,
) -> tuple[dict[str, Estimates], dict[tuple[str, str], Estimates], EvaluatedCases]:
    """Return the estimates of arms, the differences of pairs (arm, opponent), and the cases.

    arms: name -> hits for each seed. The p-values of all pairs are adjusted together.
    """
    cases = paired_tests.common_cases(list(arms.values()))
    keys = [(name, n) for name in arms for n in lengths]
    tables = np.stack([paired_tests.hit_table(arms[name], cases, n) for name, n in keys])
    samples = paired_tests.draw_samples(tables, cases, make_rng(0, "bootstrap"), resamples)
    sampled = SampledHits(cases, tables, samples, {key: i for i, key in enumerate(keys)})
    estimates = {
        name: {hit_rate_name(n): sampled.estimate(name, n) for n in lengths} for name in arms
    }
    differences = {
        (name, opponent): {hit_rate_name(n): sampled.difference(name, opponent, n) for n in lengths}
        for name, opponent in pairs
    }
    adjust_p_values([row for pair in differences.values() for row in pair.values()])
    return estimates, differences, cases


def hit_rate_name(n: int) -> str:
    """Return the name of a hit rate."""
    return f"hit_rate@{n}"


class SampledHits(NamedTuple):
    """Hits of all arms at all N, and their bootstrap samples."""

    cases: EvaluatedCases
    tables: Floats  # (M, S, U)
    samples: BootstrapSamples
    table_index: dict[tuple[str, int], int]  # arm and N -> index of its table

    def estimate(self, name: str, n: int) -> dict[str, Any]:
        """Return the mean of an arm, its interval, and its deviation over seeds."""
        index = self.table_index[name, n]
        table, hits = self.tables[index], self.samples.hits[:, index]
        low, high = self.interval(table, hits)
        means = paired_tests.seed_means(table, self.cases)
        return {
            "value": paired_tests.mean_hit_rate(table, self.cases),
            "low": low,
            "high": high,
            "sd": paired_tests.seed_deviation(means),
            "by_seed": means,
        }

    def difference(self, name: str, opponent: str, n: int) -> dict[str, Any]:
        """Return an arm minus its opponent, absolute and in percent of the opponent.

        The interval uses the differences within each sample, so that variance common to both arms
        (for example easy users) cancels.
        """
        arm, base = self.table_index[name, n], self.table_index[opponent, n]
        table = self.tables[arm] - self.tables[base]
        low, high = self.interval(table, self.samples.hits[:, arm] - self.samples.hits[:, base])
        value = paired_tests.mean_hit_rate(table, self.cases)
        base_rate = paired_tests.mean_hit_rate(self.tables[base], self.cases)
        return {
            "difference": value,
            "low": low,
            "high": high,
            "percent": 100 * value / base_rate if base_rate else None,
            "p": paired_tests.sign_flip_test(table.sum(axis=0).astype(np.int64)),
        }

    def interval(self, table: Floats, hits: Floats) -> tuple[float, float]:
        """Return the interval of an arm or of a difference."""
        means = paired_tests.sampled_means(table, hits, self.samples, self.cases)
        return paired_tests.percentile_interval(means)


def adjust_p_values(rows: Sequence[dict[str, Any]]) -> None:
    """Add `p_holm` to each row: `p` adjusted for the number of rows."""
    adjusted = paired_tests.holm_adjust([row["p"] for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row["p_holm"] = p


def overall_verdict(differences: Estimates) -> str:
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
