"""The baselines beside a model: their lists, the settings of item_knn, and the warnings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref import MIND, Recommender
from mindref.config import Config
from mindref.data.log import Ragged
from mindref.evaluation.evaluate import EvaluationReport
from mindref.models import item_knn
from mindref.recall.exact import search_top_n
from mindref.recall.retrieval import ItemFilter
from mindref.recall.top_n import top_n_by_score
from mindref.recommender import baselines
from mindref.recommender.serving.top_n_lists import recommend_batch
from tests.runs import SMALL, loaded


def report(**values):
    """Return a report with metrics at 10: value, and an interval of 0.1 on both sides."""
    estimates = {
        f"{name}@10": {"value": x, "low": x - 0.1, "high": x + 0.1} for name, x in values.items()
    }
    return EvaluationReport(1, 0, 0, estimates, {})


@pytest.mark.rules("baselines-R17", "baselines-R21", "baselines-R24")
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_a_row_of_a_report_is_the_model_of_that_name(exclude_seen):
    log = loaded().log
    rows = MIND(**SMALL, test_users=9).fit(log, exclude_seen=exclude_seen).report["metrics"]["test"]
    assert ("own_counts" in rows) != exclude_seen
    for name in rows.keys() - {"model"}:
        made = Recommender(model=name, test_users=9).fit(log, exclude_seen=exclude_seen)
        found = made.report["metrics"]["test"]
        assert rows[name] == found["model"] == found[name]
    numbers = {"similarity": "bm25", "neighbours": 500, "k1": 1.2, "b": 0.5, "history_decay": 0.7}
    assert Config.of("mind", {"model": "item_knn"}) == Config(
        model="item_knn", window=50, **numbers
    )


@pytest.mark.rules("baselines-R17")
def test_a_model_of_sparse_scores_has_the_lists_of_dense_scores():
    log = loaded().log
    items, config = len(log.item_ids), Config.of("mind", {"model": "item_knn"})
    model = baselines.fit_baseline(config, log.interactions, items, log.interactions.values)
    scores = item_knn.score_neighbours(model.params, log.interactions.ends(50), model.config)
    options = {"n": 7, "profiles": np.zeros((len(log.interactions), 0), np.int64)}
    for limits in (ItemFilter(exclude=log.interactions), ItemFilter(np.arange(items) % 2 == 0)):
        ranked, _ = recommend_batch(model, log.interactions, item_filter=limits, **options)
        dense = limits.mask_scores(scores.to_dense())
        np.testing.assert_equal(ranked, top_n_by_score(dense, n=7, exclude=limits.exclude))


@pytest.mark.rules("baselines-R18")
def test_a_long_sequence_is_cut_to_its_last_interactions():
    rows = Ragged.of([range(9), [3, 4], [], range(20, 25)])
    assert item_knn.limit_pairs(rows, 81 + 4 + 25) is rows
    cut = item_knn.limit_pairs(rows, 36)  # 16 + 4 + 16
    assert [cut.row(r).tolist() for r in range(4)] == [
        [5, 6, 7, 8], [3, 4], [], [21, 22, 23, 24]
    ]  # fmt: skip
    assert item_knn.limit_pairs(rows, 0).lengths.tolist() == [1, 1, 0, 1]


@pytest.mark.rules("baselines-R19")
def test_a_warning_names_baseline_command_and_the_metric_of_the_choice_first():
    reports = {
        "model": report(hit_rate=0.3, ndcg=0.2),
        "item_knn": report(hit_rate=0.41, ndcg=0.31, coverage=0.9),
        "popularity": report(hit_rate=0.4, ndcg=0.1),
    }

    def lines(model="mind", choice="ndcg@10"):
        return baselines.baseline_warnings(reports, model, choice)

    numbers = ("hit_rate@10 0.4100 against 0.3000", "ndcg@10 0.3100 against 0.2000")
    for choice, words in zip(("hit_rate@10", "ndcg@10"), numbers, strict=True):
        expected = f"item_knn is above the model: {words}, and 1 of 1 other metrics"
        assert lines(choice=choice) == [f"{expected}; to use it: mindref train --model item_knn"]
    assert lines(model="item_knn") == []
    reports["own_counts"] = report(hit_rate=0.4, ndcg=0.35)
    assert [x.split()[0] for x in lines()] == ["item_knn", "own_counts"]
    (line,) = lines(model="item_knn", choice="hit_rate@10")
    assert "own_counts is above the model: ndcg@10 0.3500 against 0.2000, and 0 of 1" in line
    reports["item_knn"] = report(hit_rate=0.4, ndcg=0.3)
    assert lines(model="own_counts") == []


@pytest.mark.rules("baselines-R19")
def test_a_model_that_is_fitted_in_one_pass_has_warnings():
    lines = Recommender(model="random").fit(loaded().log).report["baseline_warnings"]
    assert lines[0].startswith("item_knn is above the model: hit_rate@50 ")


@pytest.mark.rules("metrics-R24")
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_popularity_equals_the_top_n_search_of_counts(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, 9)
    exclude = Ragged.of([rng.integers(0, 9, rng.integers(0, 12)) for _ in range(5)])
    ranked = baselines.popularity_top_n(counts, 5, n=n, exclude=exclude)
    one, items = np.ones((5, 1, 1)), counts[:, None].astype(float)
    expected = search_top_n(one, one[..., 0] > 0, items, n=n, exclude=exclude)
    np.testing.assert_equal(ranked, expected)
