"""The numbers of a table: an estimate of each arm, and each arm against its opponent.

Spec: specs/experiments.md, R3 to R10 and R23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Floats
from mindref.data.streams import stream
from mindref.experiments import paired
from mindref.experiments.hits import Hits
from mindref.experiments.paired import Cases, Samples

Found = dict[str, dict[str, Any]]  # `hit_rate@N` -> numbers


def contrasts(
    arms: Mapping[str, Sequence[Hits]],
    pairs: Sequence[tuple[str, str]],
    at: Sequence[int],
    resamples: int = paired.RESAMPLES,
) -> tuple[dict[str, Found], dict[tuple[str, str], Found], Cases]:
    """Return the estimates of each arm, those of each pair (arm, opponent), and the cases.

    arms: name -> hits of each seed. All p-values of the pairs are adjusted together.
    """
    cases = paired.cases_of(list(arms.values()))
    keys = [(name, n) for name in arms for n in at]
    tables = np.stack([paired.hit_at(arms[name], cases, n) for name, n in keys])
    samples = paired.samples_of(tables, cases, stream(0, "bootstrap"), resamples)
    sheet = Sheet(cases, tables, samples, {key: i for i, key in enumerate(keys)})
    alone = {name: {rate(n): sheet.estimate(name, n) for n in at} for name in arms}
    against = {
        (one, other): {rate(n): sheet.difference(one, other, n) for n in at} for one, other in pairs
    }
    adjust([numbers for found in against.values() for numbers in found.values()])
    return alone, against, cases


def rate(n: int) -> str:
    """Return the name of a metric."""
    return f"hit_rate@{n}"


SURE = 0.05  # of the p-value, adjusted for all comparisons of the table


class Sheet(NamedTuple):
    """The hits of all arms at all N, and the samples of them."""

    cases: Cases
    tables: Floats  # (M, S, U)
    samples: Samples
    place: dict[tuple[str, int], int]  # arm and N -> index of its table

    def estimate(self, name: str, n: int) -> dict[str, Any]:
        """Return the mean of an arm with its interval, and how it differs between seeds."""
        at = self.place[name, n]
        table, hits = self.tables[at], self.samples.hits[:, at]
        low, high = self.interval(table, hits)
        means = paired.by_seed(table, self.cases)
        return {
            "value": paired.mean(table, self.cases),
            "low": low,
            "high": high,
            "sd": paired.spread(means),
            "by_seed": means,
        }

    def difference(self, name: str, opponent: str, n: int) -> dict[str, Any]:
        """Return an arm less its opponent, in points and in percent of the opponent.

        The interval is that of the differences in the same samples: what users have in common, as
        that some are easy, falls out.
        """
        one, other = self.place[name, n], self.place[opponent, n]
        table = self.tables[one] - self.tables[other]
        low, high = self.interval(table, self.samples.hits[:, one] - self.samples.hits[:, other])
        value, base = (paired.mean(x, self.cases) for x in (table, self.tables[other]))
        return {
            "difference": value,
            "low": low,
            "high": high,
            "percent": 100 * value / base if base else None,
            "p": paired.sign_flips(table.sum(axis=0).astype(np.int64)),
        }

    def interval(self, table: Floats, hits: Floats) -> tuple[float, float]:
        """Return the interval of an arm, or of a difference."""
        return paired.interval(paired.sampled_means(table, hits, self.samples, self.cases))


def adjust(numbers: Sequence[dict[str, Any]]) -> None:
    """Write the p-values adjusted for all comparisons of the table beside the plain ones."""
    adjusted = paired.holm([one["p"] for one in numbers])
    for one, p in zip(numbers, adjusted, strict=True):
        one["p_holm"] = p


def verdict(found: Found) -> str:
    """Return what the differences show, over all N together.

    Their intervals have seeds in them, the adjusted p the number of arms: both must speak.
    """
    clear = [one for one in found.values() if one["p_holm"] < SURE]
    above = any(one["low"] > 0 for one in clear)
    below = any(one["high"] < 0 for one in clear)
    if above and below:  # experiments-R10
        return "mixed"
    return "better" if above else "worse" if below else "no difference shown"
