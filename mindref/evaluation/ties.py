"""Metrics of cases whose target has the same time as the previous interaction.

Spec: specs/metrics.md, metrics-R31. The order of two interactions at the same time is unknown: the
log has them in file order (specs/data.md). A model may have learned the file order, so these cases
are reported separately.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import InteractionLog
from mindref.data.splits import EvaluationCases
from mindref.evaluation import metrics
from mindref.recall.top_n import TopN
from mindref.shapes import Bools


def tied_targets(log: InteractionLog, cases: EvaluationCases) -> Bools | None:
    """Return for which cases the first target has the time of the last behaviour, (C,).

    None for a log without times. The history of a case is all that precedes the target in the log.
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
    if not all(selected.any() for selected in groups.values()):
        return {}
    hit, table = metrics.hit_mask(ranked.items, cases.targets), {}
    for name, selected in groups.items():  # metrics-R31
        values = metrics.metrics_per_case(hit[selected], relevant[selected], list_lengths)
        means = {metric: float(value.mean()) for metric, value in values.items()}
        table[name] = {"cases": int(selected.sum()), **means}
    return table
