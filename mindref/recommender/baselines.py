"""Baselines beside a model: item_knn, popularity and random on the cases of an evaluation.

Spec: specs/baselines.md, "Special cases"; specs/metrics.md, metrics-R24 and R25.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.evaluation.evaluate import EvaluationReport
from mindref.models.parameters import Sizes
from mindref.recall.top_n import TopN, empty_top_n, row_range, top_n_by_sparse_score, write_cases

# baselines-R17: the settings of item_knn beside a model, which were selected on validation cases
CONFIG = Config(
    model="item_knn", similarity="bm25", neighbours=500, k1=1.2, b=0.5, history_decay=0.7
)
WINDOW = 50  # behaviours of a history; the 51st from the end has a weight of 2e-8
MAX_PAIRS = 4_000_000_000  # products of a fit, in the order of 15 seconds
BLOCK = 1 << 22  # scores in memory at once, at most 50 MB
TODO = "Compare the presets best and sparse, or train with --model item_knn"


def item_knn_top_n(
    train: Ragged, histories: Ragged, items: int, *, n: int, hidden: Ragged | None
) -> TopN:
    """Return the top n items of each history by item_knn, fitted to training sequences.

    hidden: items that are excluded, per case, or None. If the fit would need more than MAX_PAIRS
    products, only the ends of the sequences are used.
    """
    from mindref.models import item_knn  # imports SciPy

    histories = last_entries(histories, WINDOW)
    arrays = item_knn.fit_item_knn(
        limit_pairs(train, MAX_PAIRS),
        Sizes(items, items, 0, 0),
        CONFIG,
        needed=histories.values,  # baselines-R21
    )
    similar = item_knn.similarity_matrix(arrays)
    rows = max(1, BLOCK // min(items, WINDOW * CONFIG.neighbours))
    ranked = empty_top_n(len(histories), n, np.float64)
    for start in range(0, len(histories), rows):
        stop = min(start + rows, len(histories))
        block = row_range(histories, start, stop)
        scores = item_knn.sparse_scores(similar, block, CONFIG.history_decay)
        excluded = None if hidden is None else row_range(hidden, start, stop)
        lists = top_n_by_sparse_score(scores, n=n, exclude=excluded)
        write_cases(ranked, slice(start, stop), lists)
    return ranked


def limit_pairs(train: Ragged, max_pairs: int) -> Ragged:
    """Return the ends of the sequences; the longest length is halved until few pairs remain.

    A fit adds up as many products as there are pairs: the sum of squared lengths.
    """
    while (train.lengths.astype(np.int64) ** 2).sum() > max_pairs and train.lengths.max() > 1:
        train = last_entries(train, int(train.lengths.max()) // 2)  # baselines-R18
    return train


def last_entries(rows: Ragged, length: int) -> Ragged:
    """Return at most the last `length` values of each row."""
    lengths = rows.lengths
    return rows.slice(np.arange(len(rows)), np.maximum(lengths - length, 0), lengths)


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
