"""The baselines beside a model: lists of item_knn, its settings, and the warning."""

import numpy as np
import pytest

from mindref import MIND
from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.data.splits import make_split
from mindref.evaluation import metrics
from mindref.evaluation.evaluate import EvaluationReport
from mindref.models import item_knn
from mindref.models.parameters import Sizes
from mindref.recall.top_n import top_n_by_score
from mindref.recommender import baselines, evaluate_run
from tests.runs import SMALL, loaded


def report(**values):
    """Return a report with metrics at 10: value, and an interval of 0.1 on both sides."""
    estimates = {
        f"{name}@10": {"value": x, "low": x - 0.1, "high": x + 0.1} for name, x in values.items()
    }
    return EvaluationReport(1, 0, 0, estimates, {})


@pytest.mark.rules("baselines-R17")
def test_item_knn_beside_a_model_is_fitted_to_the_training_sequences():
    log = loaded().log
    split, items = make_split("leave_last_out", log, make_rng(0, "split")), len(log.item_ids)
    numbers = {"similarity": "bm25", "neighbours": 500, "k1": 1.2, "b": 0.5, "history_decay": 0.7}
    config = Config(model="item_knn", **numbers)
    arrays = item_knn.fit_item_knn(split.train, Sizes(items, items, 0, 0), config)
    scores = item_knn.score_neighbours(arrays, split.test.histories, config)
    ranked = top_n_by_score(scores, n=10, exclude=split.test.histories)
    hit = metrics.hit_mask(ranked.items, split.test.targets)
    expected = metrics.ndcg_at(hit, metrics.count_distinct(split.test.targets), 10).mean()
    got = MIND(**SMALL).fit(log).report["metrics"]["test"]["item_knn"]["ndcg@10"]["value"]
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.rules("baselines-R17")
@pytest.mark.parametrize("block", [1, 300])
def test_the_lists_do_not_depend_on_the_blocks(block, monkeypatch):
    log = loaded().log
    arguments = log.interactions, log.interactions, len(log.item_ids)
    options = {"n": 7, "hidden": log.interactions}
    whole = baselines.item_knn_top_n(*arguments, **options)
    monkeypatch.setattr(baselines, "BLOCK", block)
    np.testing.assert_equal(baselines.item_knn_top_n(*arguments, **options), whole)


@pytest.mark.rules("baselines-R18")
def test_a_long_sequence_is_cut_to_its_last_interactions():
    rows = Ragged.of([range(9), [3, 4], [], range(20, 25)])
    assert baselines.limit_pairs(rows, 81 + 4 + 25) is rows
    cut = baselines.limit_pairs(rows, 36)  # 16 + 4 + 16
    assert [cut.row(r).tolist() for r in range(4)] == [
        [5, 6, 7, 8], [3, 4], [], [21, 22, 23, 24]
    ]  # fmt: skip
    assert baselines.limit_pairs(rows, 0).lengths.tolist() == [1, 1, 0, 1]


@pytest.mark.rules("baselines-R19")
def test_a_warning_names_what_is_above_the_interval_of_the_model():
    reports = {
        "model": report(hit_rate=0.3, ndcg=0.2),
        "item_knn": report(hit_rate=0.41, ndcg=0.29),
        "popularity": report(hit_rate=0.4, ndcg=0.1),
        "random": report(hit_rate=0.9, ndcg=0.9),
    }
    (warning,) = baselines.baseline_warnings(reports, 10)
    assert warning.startswith("above the model: item_knn (hit_rate@10 0.4100). Compare ")
    reports["item_knn"] = report(hit_rate=0.4, ndcg=0.3)
    assert baselines.baseline_warnings(reports, 10) == []


@pytest.mark.rules("baselines-R19")
@pytest.mark.parametrize(("model", "expected"), [("mind", ["above"]), ("popularity", [])])
def test_a_fitted_family_has_no_warning(model, expected, monkeypatch):
    monkeypatch.setattr(evaluate_run, "baseline_warnings", lambda reports, n: ["above"])
    report = MIND(**{**SMALL, "model": model}).fit(loaded().log).report
    assert report["baseline_warnings"] == expected
