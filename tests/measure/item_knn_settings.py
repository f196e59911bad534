"""Validation hit_rate@10 of item_knn beside a model, for several settings: specs/baselines.md.

    python -m tests.measure.item_knn_settings LOG...

The split is leave_last_out. All validation cases are evaluated.
"""

import sys
from dataclasses import replace
from pathlib import Path

from mindref.data.rng import make_rng
from mindref.data.splits import make_split
from mindref.evaluation import metrics
from mindref.recommender import baselines
from mindref.run.source import Source

DECAYS = (1.0, 0.9, 0.7, 0.5)


def print_log(path: str) -> None:
    """Print one row per value of b, with one number per decay."""
    log = Source.of(Path(path), {}).read().log
    split, items = make_split("leave_last_out", log, make_rng(0, "split")), len(log.item_ids)
    cases = split.validation
    for b in (0.1, 0.25, 0.5, 0.75):
        values = []
        for decay in DECAYS:
            baselines.CONFIG = replace(baselines.CONFIG, b=b, history_decay=decay)
            arguments = split.train, cases.histories, items
            ranked = baselines.item_knn_top_n(*arguments, n=10, hidden=cases.histories)
            hit = metrics.hit_mask(ranked.items, cases.targets)
            relevant = metrics.count_distinct(cases.targets)
            values.append(float(metrics.hit_rate_at(hit, relevant, 10).mean()))
        print(f"{path} b {b}:", " ".join(f"{value:.4f}" for value in values), flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print_log(name)
