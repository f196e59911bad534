"""Whose target ties in time with the behaviour before it.

Spec: specs/metrics.md, metrics-R31. Which of two events of one time came first nobody knows: their
order is that of the file (specs/data.md). What a model gains by the order of such events may be the
order of the file, so these cases are reported apart.
"""

from __future__ import annotations

import numpy as np

from mindref.data.log import InteractionLog
from mindref.data.splits import Cases
from mindref.evaluation import metrics
from mindref.evaluation.top_n import Ranked
from mindref.shapes import Bools


def tied_targets(log: InteractionLog, cases: Cases) -> Bools | None:
    """Return which cases' first target has the time of the last behaviour (C,).

    None where the log has no times. The history of a case is what its user did before the target.
    """
    if log.times is None:
        return None
    starts, lengths = log.events.offsets[cases.users], cases.histories.lengths
    target = starts + lengths
    able = (lengths > 0) & (target < log.events.offsets[cases.users + 1])
    found = np.zeros(len(lengths), np.bool_)
    found[able] = log.times[target[able]] == log.times[target[able] - 1]
    return found


def by_tie(
    ranked: Ranked, cases: Cases, tied: Bools | None, at: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Return cases and the mean of each metric over `tied` and `untied` targets, apart.

    Empty where nobody knows, or where one of the two has no case.
    """
    relevant = metrics.distinct(cases.targets)
    if tied is None:
        return {}
    parts = {"tied": tied & (relevant > 0), "untied": ~tied & (relevant > 0)}
    if not all(chosen.any() for chosen in parts.values()):
        return {}
    hit, table = metrics.hits(ranked.items, cases.targets), {}
    for name, chosen in parts.items():  # metrics-R31
        values = metrics.per_case(hit[chosen], relevant[chosen], at)
        means = {metric: float(value.mean()) for metric, value in values.items()}
        table[name] = {"cases": int(chosen.sum()), **means}
    return table
