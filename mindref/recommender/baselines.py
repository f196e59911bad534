"""Baselines beside a model: fitted models with default settings, and warnings about them.

Spec: specs/baselines.md, "Special cases"; specs/metrics.md, metrics-R24 and R25.
"""

from __future__ import annotations

from collections.abc import Mapping

from mindref.config import Config
from mindref.data.log import Ints, Ragged
from mindref.evaluation.evaluate import EvaluationReport
from mindref.models.family import family_of
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.models.servable_items import find_trained_items, mask_untrained_rows
from mindref.models.serving import Model

TODO = "Compare the presets best and sparse, or train with --model item_knn"


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


def baseline_warnings(reports: Mapping[str, EvaluationReport], n: int) -> list[str]:
    """Return one warning that names the baselines above the interval of the model at n, or none."""
    model, above = reports["model"].metrics, []
    for name in ("item_knn", "popularity"):
        metrics = reports[name].metrics
        higher = [
            f"{metric} {metrics[metric]['value']:.4f}"
            for metric in (f"hit_rate@{n}", f"ndcg@{n}")
            if metrics[metric]["value"] > model[metric]["high"]  # baselines-R19
        ]
        above += [f"{name} ({', '.join(higher)})"] if higher else []
    return [f"above the model: {'; '.join(above)}. {TODO}"] if above else []
