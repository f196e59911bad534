"""Metrics and interest statistics by hand, by scipy and by ir-measures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError
from mindref.evaluation import metrics
from mindref.evaluation.interest_statistics import (
    effective_number,
    interest_recovery,
    interest_statistics,
    mean_cosine,
    shuffle_labels,
)
from tests import spec_pages

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
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 8))
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
    for measure, value in calc_aggregate(list(names), qrels, run).items():
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


@pytest.mark.rules("metrics-R10")
def test_all_metrics_use_the_same_bootstrap_samples():
    values = np.random.default_rng(0).random(30)
    first = metrics.bootstrap_estimates({"a": values, "b": values}, np.random.default_rng(1))
    again = metrics.bootstrap_estimates({"b": values}, np.random.default_rng(1))
    other = metrics.bootstrap_estimates({"b": values}, np.random.default_rng(2))
    for estimate in (first["b"], again["b"]):
        np.testing.assert_allclose([*estimate.values()], [*first["a"].values()], rtol=1e-12)
    assert abs(other["b"]["low"] - again["b"]["low"]) > 1e-6


@pytest.mark.rules("metrics-R11")
def test_a_wider_confidence_is_a_wider_interval_and_equal_cases_have_none():
    values = np.random.default_rng(0).random(30)
    rng = np.random.default_rng
    wide = metrics.bootstrap_estimates({"a": values}, rng(1), confidence=0.99)["a"]
    usual = metrics.bootstrap_estimates({"a": values}, rng(1))["a"]
    assert wide["low"] < usual["low"] < usual["value"] < usual["high"] < wide["high"]
    same = metrics.bootstrap_estimates({"a": np.full(30, 0.25)}, rng(1))["a"]
    assert same == {"value": 0.25, "low": 0.25, "high": 0.25}


@pytest.mark.rules("metrics-R12", "metrics-R13", "metrics-R14", "metrics-R15")
def test_the_worked_example_of_interest_statistics():
    page = EXAMPLES["interest_statistics"]
    # a second user has one active interest, a third no behaviour: neither says anything
    interests = np.array([page["interests"]] * 3, np.float64)
    active = np.array([[True] * 3, [True, False, False], [True] * 3])
    couplings = np.array([page["couplings"], [[0, 0, 1.0]] * 2, page["couplings"]])
    mask = np.array([[True, True], [True, True], [False, False]])
    found = interest_statistics(interests, active, couplings, mask)
    assert found.users == 1
    np.testing.assert_allclose(found.similarity, page["similarity"])
    np.testing.assert_allclose(found.share_by_index, page["shares"])
    np.testing.assert_allclose(found.effective_number, page["effective_number"])


@pytest.mark.rules("metrics-R12")
def test_similarity_is_the_mean_over_pairs():
    rng = np.random.default_rng(4)
    interests = rng.standard_normal((1, 4, 3))
    interests[0, 1] = 0
    active = np.array([[True, True, False, True]])
    unit = interests[0] / np.maximum(np.linalg.norm(interests[0], axis=1, keepdims=True), 1e-9)
    expected = (unit[0] @ unit[1] + unit[0] @ unit[3] + unit[1] @ unit[3]) / 3
    np.testing.assert_allclose(mean_cosine(interests, active), [expected])


@pytest.mark.rules("metrics-R13", "metrics-R14")
def test_collapse_is_visible_by_rank_and_padding_is_ignored():
    # two users put all in one interest each, another one
    couplings = np.array([[[1.0, 0], [0.2, 0.8]], [[0, 1.0], [np.nan, np.nan]]])
    mask = np.array([[True, False], [True, False]])
    found = interest_statistics(np.ones((2, 2, 3)), np.ones((2, 2), np.bool_), couplings, mask)
    assert found.share_by_index.tolist() == [0.5, 0.5]
    assert found.share_by_rank.tolist() == [1, 0]
    assert found.effective_number == 1
    np.testing.assert_allclose(effective_number(np.full((1, 4), 0.25)), 4)


@pytest.mark.rules("metrics-R15", "metrics-R16")
def test_statistics_need_a_user_with_two_interests():
    with pytest.raises(DataError, match="a user with two active interests"):
        interest_statistics(
            np.ones((1, 2, 3)), np.array([[True, False]]), np.ones((1, 1, 2)), np.array([[True]])
        )
    couplings, mask = couplings_of([0, 1, 2])[None], np.array([[True, True, False]])
    labels, rng = np.array([[1, -1, 2]]), np.random.default_rng(0)
    with pytest.raises(DataError, match="a user with two true interests"):
        interest_recovery(couplings, mask, labels, rng)


def couplings_of(found, interests=3):
    return np.eye(interests)[found] * 0.4 + 0.2


@pytest.mark.rules("metrics-R16", "metrics-R17", "metrics-R19")
def test_the_worked_example_of_recovery():
    page = EXAMPLES["recovery"]
    # then a passing fancy, then a padded place; and a user with one planted interest only
    couplings = np.stack(
        [couplings_of([*page["predicted"], 0, 0]), couplings_of([0, 1, 0, 1, 0, 1, 0])]
    )
    planted = np.array([[*page["true_interests"], -1, 1], [2] * 7])
    mask = np.array([[True] * 6 + [False], [True] * 7])
    found = interest_recovery(couplings, mask, planted, np.random.default_rng(0))
    assert found.users == 1
    np.testing.assert_allclose(found.ari, page["ari"])
    np.testing.assert_allclose(found.purity, page["purity"])


@pytest.mark.rules("metrics-R19")
@pytest.mark.parametrize(
    ("found", "planted", "expected"),
    [
        ([0, 0, 1, 1], [5, 5, 2, 2], 1.0),  # whatever the groups are called
        ([0, 0, 1, 1], [0, 0, 0, 1], 0.0),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.0),
        ([0, 1, 2], [2, 0, 1], 1.0),  # each alone in both
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
    ],
)
def test_the_adjusted_rand_index_by_hand(found, planted, expected):
    labels = np.array([planted])
    mask = np.ones_like(labels, np.bool_)
    got = interest_recovery(couplings_of(found)[None], mask, labels, np.random.default_rng(0))
    np.testing.assert_allclose(got.ari, expected)


@pytest.mark.rules("metrics-R18")
def test_chance_is_the_value_of_shuffled_labels():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, (400, 12))
    couplings = rng.random((400, 12, 4))
    mask = np.arange(12) < rng.integers(4, 13, (400, 1))
    none = interest_recovery(couplings, mask, labels, np.random.default_rng(0))
    np.testing.assert_allclose(none.ari, 0, atol=0.03)
    np.testing.assert_allclose(none.ari_chance, 0, atol=0.01)
    np.testing.assert_allclose(none.purity, none.purity_chance, atol=0.02)
    whole = interest_recovery(np.eye(4)[labels], mask, labels, np.random.default_rng(0))
    assert (whole.ari, whole.purity) == (1, 1)
    assert whole.purity_chance < 0.75
    np.testing.assert_allclose(whole.ari_chance, 0, atol=0.01)


@pytest.mark.rules("metrics-R18")
def test_labels_are_shuffled_within_their_user_and_only_among_the_counted():
    labels = np.array([[1, 2, 3, 9], [4, 5, 9, 6]])
    counted = labels != 9
    out = shuffle_labels(labels, counted, np.random.default_rng(0))
    assert (np.sort(out, axis=1) == np.sort(labels, axis=1)).all()
    assert (out[~counted] == 9).all()
    assert not (out == labels).all()


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
