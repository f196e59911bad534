"""Validation hit_rate@10 of item_knn for several settings: specs/baselines.md.

    python -m tests.measure.item_knn_settings LOG...

The split is leave_last_out. All validation cases are evaluated.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mindref.config import Config
from mindref.data.rng import make_rng
from mindref.data.splits import make_split
from mindref.evaluation import metrics
from mindref.recall.retrieval import ItemFilter
from mindref.recommender.baselines import fit_baseline
from mindref.recommender.serving.top_n_lists import recommend_batch
from mindref.run.source import Source

DECAYS = (1.0, 0.9, 0.7, 0.5)


def print_log(path: str) -> None:
    """Print one row per value of b, with one number per decay."""
    log = Source.of(Path(path), {}).read().log
    split, items = make_split("leave_last_out", log, make_rng(0, "split")), len(log.item_ids)
    histories, targets = split.validation.histories, split.validation.targets
    unseen, profiles = ItemFilter(exclude=histories), np.zeros((len(histories), 0), np.int64)
    for b in (0.1, 0.25, 0.5, 0.75):
        config, values = Config.of("mind", {"model": "item_knn", "b": b}), []
        model = fit_baseline(config, split.train, items, histories.values)
        for decay in DECAYS:
            model = model._replace(config=replace(config, history_decay=decay))
            ranked, _ = recommend_batch(model, histories, profiles, n=10, item_filter=unseen)
            hit = metrics.hit_mask(ranked.items, targets)
            relevant = metrics.count_distinct(targets)
            values.append(float(metrics.hit_rate_at(hit, relevant, 10).mean()))
        print(f"{path} b {b}:", " ".join(f"{value:.4f}" for value in values), flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print_log(name)
