"""Judge ranked lists: metrics with intervals, coverage, and by length of history.

Spec: specs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.data.splits import Cases
from mindref.errors import DataError, ShapeError, say
from mindref.evaluation import metrics
from mindref.evaluation.metrics import Estimate
from mindref.evaluation.top_n import Ranked
from mindref.run import atomic, lock
from mindref.run.tsv import escape

AT = (10, 20, 50)
COLUMNS = ("user", "rank", "item", "score", "interest")  # of every list that is written as TSV
# history lengths at which K' = floor(log2 n) steps, so that a bucket is a number of interests
BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64)


class Report(NamedTuple):
    """What evaluation found; every number is over the cases that have a target."""

    cases: int  # judged
    without_target: int  # left out
    seen_targets: int  # targets that stand in the history: missed when seen items are excluded
    metrics: dict[str, Estimate]  # `name@N`, coverage@N among them
    by_history_length: dict[str, dict[str, float]]  # bucket -> cases and the value of each metric

    def to_json(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return self._asdict()


def evaluate(
    ranked: Ranked,
    cases: Cases,
    n_items: int,
    *,
    at: Sequence[int] = AT,
    rng: np.random.Generator,
    resamples: int = metrics.RESAMPLES,
    confidence: float = metrics.CONFIDENCE,
) -> Report:
    """Judge lists (C, n), n >= max(at), that rank a whole catalogue of n_items items.

    The generator draws the bootstrap samples; give each ranking of the same cases a generator with
    the same seed to compare them on the same samples. Raises ShapeError, ConfigError, DataError.
    """
    if not len(ranked.items) == len(cases.targets) == len(cases.histories):
        sizes = (len(ranked.items), len(cases.targets), len(cases.histories))
        raise ShapeError(say("evaluate", "one list, history and target row a case", sizes))
    n_relevant = metrics.distinct(cases.targets)
    judged = n_relevant > 0  # metrics-R1
    if not judged.any():
        raise DataError(say("evaluate", "a case with a target", "none", "choose another split"))
    hit = metrics.hits(ranked.items, cases.targets)[judged]
    values = metrics.per_case(hit, n_relevant[judged], at)
    found = metrics.estimates(values, rng, resamples=resamples, confidence=confidence)
    for n in at:
        share = metrics.coverage(ranked.items[judged], n_items, n)
        found[f"coverage@{n}"] = Estimate(value=share, low=share, high=share)  # metrics-R9
    return Report(
        cases=int(judged.sum()),
        without_target=int((~judged).sum()),
        seen_targets=seen_targets(cases),
        metrics=found,
        by_history_length=by_length(values, cases.histories.lengths[judged]),
    )


def by_length(values: dict[str, Floats], lengths: Ints) -> dict[str, dict[str, float]]:
    """Return the mean of each metric over the cases of each bucket of history lengths."""
    bucket = np.searchsorted(BUCKETS, lengths, side="right") - 1  # metrics-R20
    table = {}
    for b in np.unique(bucket):
        inside = bucket == b
        means = {name: float(value[inside].mean()) for name, value in values.items()}
        table[bucket_name(int(b))] = {"cases": int(inside.sum()), **means}
    return table


def bucket_name(b: int) -> str:
    """Return the name of a bucket: `0`, `1`, `2-3` ... `64+`."""
    first = BUCKETS[b]
    if b + 1 == len(BUCKETS):
        return f"{first}+"
    last = BUCKETS[b + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def seen_targets(cases: Cases) -> int:
    """Count the distinct targets that stand in the history of their own case."""
    base = 1 + max(rows.values.max(initial=0) for rows in (cases.targets, cases.histories))
    targets = np.unique(metrics.pair_keys(cases.targets, base))
    seen = np.sort(metrics.pair_keys(cases.histories, base))  # much sooner than their distinct ones
    first, after = (np.searchsorted(seen, targets, side) for side in ("left", "right"))
    return int(np.count_nonzero(first < after))  # metrics-R21


def write_predictions(
    path: Path | str, ranked: Ranked, user_ids: Sequence[str], item_ids: Sequence[str]
) -> None:
    """Write lists as TSV with a header: user, rank from 1, item, score, interest from 0.

    user_ids: the external id of each list, (C,); item_ids: of each dense item, (N,). A tab, a line
    end or a backslash in an id is written as \\t, \\n, \\r or \\\\. The file appears whole or not
    at all. Raises RunError when it cannot be written.
    """
    users = [escape(user) for user in user_ids]  # metrics-R22: an id never ends a field or a line
    items = [escape(item) for item in item_ids]
    with lock.making(path), atomic.writing(path) as stream:
        stream.write(line(*COLUMNS).encode("utf-8"))
        for user, ids, scores, interests in zip(users, *ranked, strict=True):
            rows = zip(ids.tolist(), scores, interests.tolist(), strict=True)
            lines = [
                line(user, rank, items[item], score, interest)
                for rank, (item, score, interest) in enumerate(rows, start=1)
                if item >= 0  # metrics-R23
            ]
            stream.write("".join(lines).encode("utf-8"))


def line(*fields: object) -> str:
    """Return fields, texts of them escaped before, as a line of TSV."""
    return "\t".join(map(str, fields)) + "\n"
