"""Baselines beside a model: fitted models with default settings, and warnings about them.

Spec: specs/baselines.md, "Special cases"; specs/metrics.md, metrics-R24.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mindref.config import Config
from mindref.data.log import Ints, Ragged
from mindref.evaluation.evaluate import EvaluationReport
from mindref.models.family import family_of
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.models.popularity import popularity_order
from mindref.models.servable_items import find_trained_items, mask_untrained_rows
from mindref.models.serving import Model
from mindref.recall.top_n import TopN, top_n_by_sparse_score


def fit_baseline(config: Config, train: Ragged, items: int, needed: Ints) -> Model:
    """Return the model that `mindref train` fits with these settings to training sequences.

    needed: items of the histories that the model will read; it may lack what others need.
    """
    family, sizes = family_of(config.model), Sizes(items, items, 0, 0)
    if family.fit_needed is None:
        params = family.fit(train, sizes, config)
    else:
        params = family.fit_needed(train, sizes, config, needed)  # baselines-R21
    is_trained = find_trained_items(train, items, by_steps=False)
    catalogue = mask_untrained_rows(catalogue_of_ids(items, config.dtype), is_trained)
    return Model(params, catalogue, config)


def popularity_top_n(counts: Ints, cases: int, *, n: int, exclude: Ragged | None = None) -> TopN:
    """Return the n most frequent items of counts (N,) that are not excluded, for each case.

    The score is the count.
    """
    from scipy.sparse import csr_array  # slow to import

    scores, order = np.asarray(counts, dtype=np.float64), popularity_order(counts)
    no_entries = csr_array((cases, len(scores)))  # metrics-R24
    return top_n_by_sparse_score(no_entries, base_scores=scores, order=order, n=n, exclude=exclude)


def baseline_warnings(
    reports: Mapping[str, EvaluationReport], model: str, choice: str
) -> list[str]:
    """Return a line for each baseline with a metric above the interval of the model.

    model: name of the family of the model, which is not compared with itself. choice: the metric
    that selects the checkpoint, which is named first.
    """
    names = [name for name in reports["model"].metrics if not name.startswith("coverage")]
    names.sort(key=lambda name: name != choice)  # the order of the others stays
    lines = []
    for baseline in sorted(reports.keys() - {"model", model}):
        pairs = [(x, reports["model"].metrics[x], reports[baseline].metrics[x]) for x in names]
        above = [pair for pair in pairs if pair[2]["value"] > pair[1]["high"]]  # baselines-R19
        if above:
            name, lower, higher = above[0]
            lines.append(
                f"{baseline} is above the model: {name} {higher['value']:.4f} against"
                f" {lower['value']:.4f}, and {len(above) - 1} of {len(names) - 1} other metrics;"
                f" to use it: mindref train --model {baseline}"
            )
    return lines
