"""Metrics by hand, by scipy and by ir-measures."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError
from mindref.evaluation import metrics
from tests import spec_pages
from tests.assertions import nonempty

EXAMPLES = {example["name"]: example for example in spec_pages.examples("metrics")}
HIT = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], bool)
R = np.array([5, 1, 3])


@pytest.mark.rules("metrics-R2")
def test_a_hit_is_a_target_of_the_same_case_and_padding_is_none():
    items = np.array([[3, 1, -1], [1, 3, 0], [-1, -1, -1]])
    targets = Ragged.of([[1, 7], [0], []])
    expected = [[False, True, False], [False, False, True], [False] * 3]
    assert metrics.hit_mask(items, targets).tolist() == expected
    # case 1, place -1 would have the key of the last item of case 0
    items = np.array([[0, 1], [-1, -1]])
    assert not metrics.hit_mask(items, Ragged.of([[5], [3]])).any()


@pytest.mark.rules("metrics-R3")
def test_a_target_named_twice_counts_once():
    assert metrics.count_distinct(Ragged.of([[4, 4, 2], [], [4]])).tolist() == [2, 0, 1]
    assert metrics.count_distinct(Ragged.of([[], []])).tolist() == [0, 0]


@pytest.mark.rules("metrics-R9")
def test_coverage_counts_each_item_once_and_no_padding():
    items = np.array([[0, 1, 2], [1, -1, -1]])
    assert metrics.catalogue_coverage(items, 4, 1) == 0.5
    assert metrics.catalogue_coverage(items, 4, 3) == 0.75


@pytest.mark.rules("metrics-R26")
def test_a_metric_beyond_the_list_and_a_case_without_target_are_errors():
    for lengths in ([5], [0], [], [2, 5]):
        with pytest.raises(ConfigError, match="list lengths from 1 to 4"):
            metrics.metrics_per_case(HIT, R, lengths)
    with pytest.raises(DataError, match="cases with a target each"):
        metrics.metrics_per_case(HIT, np.array([1, 0, 1]), [2])


@pytest.mark.rules("metrics-R4", "metrics-R5", "metrics-R6", "metrics-R7", "metrics-R8")
@example(seed=0, n=2, relevant=8)  # more targets than places in the list
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), relevant=st.integers(1, 8))
def test_values_agree_with_ir_measures(seed, n, relevant):
    from ir_measures import RR, R, Success, calc_aggregate, nDCG

    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((6, 40)), axis=1)[:, :n]
    targets = [rng.choice(40, rng.integers(1, relevant + 1), replace=False) for _ in lists]
    qrels = {str(c): {str(i): 1 for i in row} for c, row in enumerate(targets)}
    # distinct and falling: such tools sort by score themselves
    run = {str(c): {str(i): float(n - r) for r, i in enumerate(x)} for c, x in enumerate(lists)}
    rows = Ragged.of(targets)
    hit = metrics.hit_mask(lists, rows)
    ours = metrics.metrics_per_case(hit, metrics.count_distinct(rows), [n])
    names = {Success @ n: "hit_rate", R @ n: "recall", nDCG @ n: "ndcg", RR @ n: "mrr"}
    for measure, value in nonempty(calc_aggregate(list(names), qrels, run).items()):
        np.testing.assert_allclose(ours[f"{names[measure]}@{n}"].mean(), value, rtol=0, atol=1e-6)


@pytest.mark.rules("metrics-R10", "metrics-R11")
def test_intervals_agree_with_scipy_to_the_last_digits():
    from scipy.stats import bootstrap

    table = np.random.default_rng(0).random((60, 3)) ** 3
    ours = metrics.bootstrap_estimates(
        dict(zip("abc", table.T, strict=True)), np.random.default_rng(5)
    )
    theirs = bootstrap(
        (table.T,), np.mean, n_resamples=1000, batch=50, axis=-1,
        method="percentile", random_state=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    for name, value, low, high in zip("abc", table.mean(axis=0), *theirs, strict=True):
        got = list(ours[name].values())
        np.testing.assert_allclose(got, [value, low, high], rtol=1e-12, err_msg=name)


@pytest.mark.rules("metrics-R10", "metrics-R11")
def test_intervals_depend_on_confidence_and_generator_but_not_on_other_metrics():
    values, rng = np.random.default_rng(0).random(30), np.random.default_rng
    wide = metrics.bootstrap_estimates({"a": values}, rng(1), confidence=0.99)["a"]
    usual = metrics.bootstrap_estimates({"a": values}, rng(1))["a"]
    both = metrics.bootstrap_estimates({"b": values**2, "a": values}, rng(1))["a"]
    other = metrics.bootstrap_estimates({"a": values}, rng(2))["a"]
    assert wide["low"] < usual["low"] < usual["value"] < usual["high"] < wide["high"]
    assert both == pytest.approx(usual, rel=1e-12)
    assert abs(other["low"] - usual["low"]) > 1e-6
    same = metrics.bootstrap_estimates({"a": np.full(30, 0.25)}, rng(1))["a"]
    assert same == {"value": 0.25, "low": 0.25, "high": 0.25}
    thirds = metrics.bootstrap_estimates({"a": np.full(11, 1 / 3)}, rng(1))["a"]
    assert list(thirds.values()) == pytest.approx([1 / 3] * 3, rel=1e-15)
    sampled, one_by_one = rng(3).integers(0, 7, (5, 7)), rng(3)
    assert sampled.tolist() == [one_by_one.integers(0, 7, 7).tolist() for _ in range(5)]


def places(rows, empty):
    """Return rows of different lengths as a padded array."""
    width = max(map(len, rows))
    return np.array([[*row, *[empty] * (width - len(row))] for row in rows])


@pytest.mark.rules("metrics-R27", "metrics-R28", "metrics-R29")
def test_the_worked_example_of_gauc():
    example = EXAMPLES["gauc"]
    scores, hit = places(example["scores"], -np.inf), places(example["hits"], False).astype(bool)
    shown = scores > -np.inf
    values = metrics.auc_per_case(scores, hit, shown)
    np.testing.assert_allclose(values, [np.nan if x is None else x for x in example["auc"]])
    found = metrics.grouped_auc(values, shown.sum(axis=1), np.random.default_rng(0))
    assert found["value"] == pytest.approx(example["gauc"], rel=1e-12)
    assert found["low"] == pytest.approx(0.25)
    assert found["high"] == pytest.approx(1 / 3)


@pytest.mark.rules("metrics-R27")
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_auc_agrees_with_the_rank_statistic(seed, n):
    """Mann and Whitney's U over the number of pairs, from midranks, which split ties in half."""
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (1, n)) / 2
    hit = np.arange(n)[None] < rng.integers(1, n)
    hit = rng.permuted(hit, axis=1)
    wanted, others = int(hit.sum()), int((~hit).sum())
    u = rankdata(scores[0])[hit[0]].sum() - wanted * (wanted + 1) / 2
    got = metrics.auc_per_case(scores, hit, np.ones((1, n), bool))
    np.testing.assert_allclose(got, u / (wanted * others), rtol=1e-12, atol=1e-12)


@pytest.mark.rules("metrics-R28")
def test_padding_is_no_candidate_and_a_case_of_one_class_has_no_auc():
    scores = np.array([[2.0, 1.0, 9.0], [2.0, 1.0, 9.0], [2.0, 1.0, 9.0]])
    hit = np.array([[True, False, False], [False] * 3, [True] * 3])
    shown = np.array([[True, True, False], [True] * 3, [True, False, True]])
    np.testing.assert_array_equal(metrics.auc_per_case(scores, hit, shown), [1, np.nan, np.nan])
    nobody = np.full(3, np.nan)
    with pytest.raises(DataError, match="gauc: expected a case with a hit and another candidate"):
        metrics.grouped_auc(nobody, np.ones(3, int), np.random.default_rng(0))


@pytest.mark.rules("metrics-R29", "metrics-R30")
def test_gauc_weights_by_impressions_and_bootstraps_the_ratio():
    rng = np.random.default_rng(0)
    values, weights = rng.random(40), rng.integers(1, 300, 40)
    found = metrics.grouped_auc(values, weights, np.random.default_rng(3), resamples=500)
    assert found["value"] == pytest.approx(np.average(values, weights=weights), rel=1e-12)
    drawn = np.random.default_rng(3).integers(0, 40, (500, 40))
    ratios = [np.average(values[rows], weights=weights[rows]) for rows in drawn]
    expected = np.percentile(ratios, [2.5, 97.5])
    np.testing.assert_allclose([found["low"], found["high"]], expected, rtol=1e-12)
