"""Evaluate top-n lists: metrics with intervals, coverage, metrics by history length and by tie.

Spec: specs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Floats, InteractionLog, Ints
from mindref.data.splits import EvaluationCases
from mindref.errors import DataError, ShapeError, say
from mindref.evaluation import LIST_LENGTHS, metrics
from mindref.evaluation.metrics import Estimate
from mindref.recall.lists import COLUMNS
from mindref.recall.top_n import TopN
from mindref.run import atomic, lock
from mindref.run.tsv import escape, tsv_line
from mindref.shapes import Bools

BUCKETS = {0: "0", 1: "1", 2: "2-3", 4: "4-7", 8: "8-15", 16: "16-31", 32: "32-63", 64: "64+"}
"""First history length of each bucket -> name. K' = floor(log2 n) is constant within a bucket."""


class EvaluationReport(NamedTuple):
    """Results of an evaluation. Every number is over the cases with a target."""

    cases: int  # evaluated
    without_target: int  # not evaluated
    seen_targets: int  # targets in the history of their case: misses if seen items are excluded
    metrics: dict[str, Estimate]  # `name@N`, including coverage@N
    by_history_length: dict[str, dict[str, float]]  # bucket -> cases and mean of each metric


def evaluate_top_n(
    ranked: TopN,
    cases: EvaluationCases,
    n_items: int,
    *,
    list_lengths: Sequence[int] = LIST_LENGTHS,
    rng: np.random.Generator,
    resamples: int = metrics.RESAMPLES,
    confidence: float = metrics.CONFIDENCE,
) -> EvaluationReport:
    """Return the report of lists (C, n), n >= max(list_lengths), over a catalogue of n_items items.

    The generator draws the bootstrap samples. To compare several models on the same samples, pass
    generators with the same seed. Raises ShapeError, ConfigError, DataError. The items of a list
    must be distinct: a target that is twice in a list would count twice.
    """
    if not len(ranked.items) == len(cases.targets) == len(cases.histories):
        sizes = (len(ranked.items), len(cases.targets), len(cases.histories))
        raise ShapeError(say("evaluate", "one list, history and target row per case", sizes))
    check_distinct(ranked.items)
    n_relevant = metrics.count_distinct(cases.targets)
    has_target = n_relevant > 0  # metrics-R1
    if not has_target.any():
        raise DataError(say("evaluate", "a case with a target", "none", "choose another split"))
    hit_mask = metrics.hit_mask(ranked.items, cases.targets)[has_target]
    values = metrics.metrics_per_case(hit_mask, n_relevant[has_target], list_lengths)
    estimates = metrics.bootstrap_estimates(values, rng, resamples=resamples, confidence=confidence)
    for n in list_lengths:
        coverage = metrics.catalogue_coverage(ranked.items[has_target], n_items, n)
        estimate = Estimate(value=coverage, low=coverage, high=coverage)
        estimates[f"coverage@{n}"] = estimate  # metrics-R9
    return EvaluationReport(
        cases=int(has_target.sum()),
        without_target=int((~has_target).sum()),
        seen_targets=count_seen_targets(cases),
        metrics=estimates,
        by_history_length=metrics_by_history_length(values, cases.histories.lengths[has_target]),
    )


def check_distinct(items: Ints) -> None:
    """Raise DataError for a list (C, n) that has an item twice; -1, padding, may repeat."""
    ordered = np.sort(items, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():  # metrics-R25
        case, position = np.argwhere(repeated)[0]
        got = f"item {ordered[case, position]} twice in the list of case {case}"
        raise DataError(say("evaluate", "lists of distinct items", got, "remove the second"))


def metrics_by_history_length(
    values: dict[str, Floats], lengths: Ints
) -> dict[str, dict[str, float]]:
    """Return the mean of each metric over the cases of each bucket of history lengths."""
    bucket = np.searchsorted(list(BUCKETS), lengths, side="right") - 1  # metrics-R20
    names, table = list(BUCKETS.values()), {}
    for b in np.unique(bucket):
        inside = bucket == b
        means = {name: float(value[inside].mean()) for name, value in values.items()}
        table[names[b]] = {"cases": int(inside.sum()), **means}
    return table


def tied_targets(log: InteractionLog, cases: EvaluationCases) -> Bools | None:
    """Return for which cases the first target has the time of the last behaviour, (C,).

    None for a log without times. The history of a case is all that precedes the target in the log.
    The log has interactions at the same time in file order, which a model may have learned.
    """
    if log.times is None:
        return None
    starts, lengths = log.interactions.offsets[cases.users], cases.histories.lengths
    target = starts + lengths
    comparable = (lengths > 0) & (target < log.interactions.offsets[cases.users + 1])
    tied = np.zeros(len(lengths), np.bool_)
    tied[comparable] = log.times[target[comparable]] == log.times[target[comparable] - 1]
    return tied


def metrics_by_tie(
    ranked: TopN, cases: EvaluationCases, tied: Bools | None, list_lengths: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Return the number of cases and the means of the metrics for `tied` and `untied` targets.

    Empty without times, or if one of the two groups has no case.
    """
    relevant = metrics.count_distinct(cases.targets)
    if tied is None:
        return {}
    groups = {"tied": tied & (relevant > 0), "untied": ~tied & (relevant > 0)}
    if not all(selected.any() for selected in groups.values()):  # metrics-R34
        return {}
    hit, table = metrics.hit_mask(ranked.items, cases.targets), {}
    for name, selected in groups.items():  # metrics-R31
        values = metrics.metrics_per_case(hit[selected], relevant[selected], list_lengths)
        means = {metric: float(value.mean()) for metric, value in values.items()}
        table[name] = {"cases": int(selected.sum()), **means}
    return table


def count_seen_targets(cases: EvaluationCases) -> int:
    """Return the number of distinct targets that are in the history of their case."""
    base = 1 + max(rows.values.max(initial=0) for rows in (cases.targets, cases.histories))
    target_keys = np.unique(cases.targets.keys(base))
    history_keys = np.sort(cases.histories.keys(base))  # much faster than np.unique
    first_index, end_index = (
        np.searchsorted(history_keys, target_keys, side) for side in ("left", "right")
    )
    return int(np.count_nonzero(first_index < end_index))  # metrics-R21


def write_predictions(
    path: Path | str, ranked: TopN, user_ids: Sequence[str], item_ids: Sequence[str]
) -> None:
    """Write lists as TSV with a header: user, rank from 1, item, score, interest from 0.

    user_ids: external id of each list, (C,). item_ids: external id of each item, (N,). A tab, a
    line end or a backslash in an id is written as \\t, \\n, \\r or \\\\. The file is written
    atomically. Raises RunError on a failed write.
    """
    users = [escape(user) for user in user_ids]  # metrics-R33: no tab or line end in an id
    items = [escape(item) for item in item_ids]
    with lock.lock_output(path), atomic.open_atomic(path) as stream:
        stream.write(tsv_line(*COLUMNS).encode("utf-8"))  # metrics-R22
        for user, ids, scores, interests in zip(users, *ranked, strict=True):
            rows = zip(ids.tolist(), scores, interests.tolist(), strict=True)
            lines = [
                tsv_line(user, rank, items[item], score, interest)
                for rank, (item, score, interest) in enumerate(rows, start=1)  # metrics-R32
                if item >= 0  # metrics-R23
            ]
            stream.write("".join(lines).encode("utf-8"))
